# SPDX-License-Identifier: Apache-2.0
# Decides whether the CUDA backend is built, and for which devices. AUTO also finds a toolkit that
# is not on PATH, and says why it builds without one; ON without a compiler that can is an error.
set(SPATIALCORE_WITH_CUDA OFF)

# The kernels need compute capability 8.0 (one-bit tensor cores): a compiler's own default may be
# older. Before 11.8 a compiler does not know 9.0, before 12.8 not 10.0.
function(spatialcore_cuda_architectures out version)
  if(version VERSION_GREATER_EQUAL 12.8)
    set(${out} 80-real 90-real 100-real 100-virtual PARENT_SCOPE)
  elseif(version VERSION_GREATER_EQUAL 11.8)
    set(${out} 80-real 90-real 90-virtual PARENT_SCOPE)
  else()
    set(${out} "" PARENT_SCOPE)
  endif()
endfunction()

function(spatialcore_without_cuda reason)
  if(SPATIALCORE_CUDA STREQUAL "ON")
    message(FATAL_ERROR "SPATIALCORE_CUDA=ON, but ${reason}; set CUDA_HOME or CUDACXX")
  endif()
  message(STATUS "spatialcore: ${reason}")
endfunction()

if(NOT SPATIALCORE_CUDA STREQUAL "OFF")
  if(NOT CMAKE_CUDA_COMPILER AND NOT DEFINED ENV{CUDACXX})
    find_program(SPATIALCORE_NVCC nvcc HINTS $ENV{CUDA_HOME}/bin $ENV{CUDA_PATH}/bin /usr/local/cuda/bin)
    if(SPATIALCORE_NVCC)
      set(CMAKE_CUDA_COMPILER ${SPATIALCORE_NVCC})
    endif()
  endif()
  if("${CMAKE_CUDA_ARCHITECTURES}" STREQUAL "")
    unset(CMAKE_CUDA_ARCHITECTURES CACHE)  # an empty one is no wish, and CMake refuses it
  endif()
  set(SPATIALCORE_CUDA_ARCHS "${CMAKE_CUDA_ARCHITECTURES}")  # what was asked, before a default
  include(CheckLanguage)
  check_language(CUDA)
  if(CMAKE_CUDA_COMPILER)
    enable_language(CUDA)
    if(NOT SPATIALCORE_CUDA_ARCHS)
      spatialcore_cuda_architectures(SPATIALCORE_CUDA_ARCHS ${CMAKE_CUDA_COMPILER_VERSION})
    endif()
    if(SPATIALCORE_CUDA_ARCHS)
      set(CMAKE_CUDA_ARCHITECTURES ${SPATIALCORE_CUDA_ARCHS})
      find_package(CUDAToolkit REQUIRED)
      set(SPATIALCORE_WITH_CUDA ON)
    else()
      spatialcore_without_cuda("CUDA ${CMAKE_CUDA_COMPILER_VERSION} is older than 11.8")
    endif()
  else()
    spatialcore_without_cuda("no CUDA compiler was found")
  endif()
endif()
message(STATUS "spatialcore: CUDA backend ${SPATIALCORE_WITH_CUDA} ${CMAKE_CUDA_ARCHITECTURES}")
