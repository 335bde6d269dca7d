// SPDX-License-Identifier: Apache-2.0
// SC_HD marks the functions that host and device share; a plain C++ compiler sees nothing.
#pragma once

#if defined(__CUDACC__)
#define SC_HD __host__ __device__
#else
#define SC_HD
#endif
