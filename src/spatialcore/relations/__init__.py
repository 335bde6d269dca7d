# SPDX-License-Identifier: Apache-2.0
"""Pure geometry of rooms and objects: boxes, directions, relations, layout, free floor, routes.

It takes objects made by hand, or predicted ones, as well as those of `spatialcore.index`.
"""
