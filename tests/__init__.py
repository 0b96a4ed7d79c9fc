"""A package by name: releases of Ultralytics install a package ``tests`` of their own, which would be found first."""
