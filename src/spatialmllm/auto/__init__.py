# SPDX-License-Identifier: Apache-2.0
"""What the Auto classes of transformers open: a configuration, a processor and their registration.

Names are imported from the modules; importing this package loads nothing.
"""
