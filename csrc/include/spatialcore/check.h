// SPDX-License-Identifier: Apache-2.0
// SC_REQUIRE(condition, message): a caller's mistake becomes std::invalid_argument (ValueError).
#pragma once

#include <stdexcept>

#define SC_REQUIRE(condition, message)                      \
  do {                                                      \
    if (!(condition)) throw std::invalid_argument(message); \
  } while (false)
