"""The one gateway to FiftyOne's private API and to MongoDB: read boxes, write fields, make views."""
