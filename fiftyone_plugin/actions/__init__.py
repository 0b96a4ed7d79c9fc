"""The work of each operator, independent of the App: mine, export, predict, train, find similar images."""
