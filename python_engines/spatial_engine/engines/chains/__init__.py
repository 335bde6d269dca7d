# SPDX-License-Identifier: Apache-2.0
"""What the engines of this package tell of their evidence, family by family.

A function gives the lines of a chain and what they end in. The ending follows from the numbers that
the lines say, by arithmetic of its own: never from the answer. Of the answer only names are taken
that evidence does not hold.
"""
