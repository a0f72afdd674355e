"""Imports a package that is not installed."""

from a_package_that_is_not_installed import Unreachable as Unreachable
