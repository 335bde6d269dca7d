// SPDX-License-Identifier: Apache-2.0
// Hashes of what every operation gives on random inputs, edges and NaN: a line for each operation
// and each instruction set that runs here, and under "all" the operations that have no sets. Any
// two machines, sets or emulators have to print the same hash for the same operation.
#include "bits.h"
#include "cpu/isa/dispatch.h"

int main() {
  for (const std::string& set : spatialcore::isas()) {
    spatialcore::set_isa(set);
    spatialcore::report_occlusion(set);
    spatialcore::report_sets(set);
  }
  spatialcore::set_isa("");
  spatialcore::report_portable();
  return 0;
}
