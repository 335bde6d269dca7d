# SPDX-License-Identifier: Apache-2.0
"""A static page of example records: images with their marks, question, answer, and the numbers."""

from spatial_engine.view.gallery import Example, choose_examples, write_gallery

__all__ = ["Example", "choose_examples", "write_gallery"]
