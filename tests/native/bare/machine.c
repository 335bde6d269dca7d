// SPDX-License-Identifier: Apache-2.0
// Just enough of a kernel to run one static Linux program on a bare machine: it loads the ELF file,
// answers the system calls of the C library, and prints on the first serial port. The program runs
// in ring 0 with all of memory mapped; there are no interrupts, and a fault stops the machine.
#include <elf.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/syscall.h>

enum { kSerial = 0x3F8, kLineControl = 0x3FB, kLineStatus = 0x3FD, kPowerOff = 0x8900 };
enum { kMsrStar = 0xC0000081, kMsrLstar = 0xC0000082, kMsrMask = 0xC0000084, kMsrFs = 0xC0000100 };
enum { kPage = 4096, kStackWords = 8192, kSetFs = 0x1002 };

void trap(void);
void enter(uint64_t entry, const uint64_t* stack);

static uint64_t heap_end = 0x8000000;  // 128 MiB
static uint64_t map_end = 0x10000000;  // 256 MiB
static uint64_t stack[kStackWords];

static void out(uint16_t port, uint8_t value) {
  __asm__ volatile("outb %0, %1" ::"a"(value), "Nd"(port));
}

static uint8_t in(uint16_t port) {
  uint8_t value;
  __asm__ volatile("inb %1, %0" : "=a"(value) : "Nd"(port));
  return value;
}

static void say(const char* text, size_t size) {
  for (size_t k = 0; k < size; ++k) {
    while (!(in(kLineStatus) & 0x20)) {
    }
    out(kSerial, (uint8_t)text[k]);
  }
}

static void set_register(uint32_t number, uint64_t value) {
  __asm__ volatile("wrmsr" ::"c"(number), "a"((uint32_t)value), "d"((uint32_t)(value >> 32)));
}

static void power_off(int failed) {
  say(failed ? "failed\n" : "finished\n", failed ? 7 : 9);
  while (!(in(kLineStatus) & 0x40)) {
  }
  for (const char* word = "Shutdown"; *word; ++word) out(kPowerOff, (uint8_t)*word);
  for (;;) __asm__ volatile("hlt");
}

static uint64_t pages(uint64_t size) { return (size + kPage - 1) / kPage * kPage; }

static int64_t map(uint64_t size) {
  uint8_t* const at = (uint8_t*)map_end;
  map_end += pages(size);
  for (uint64_t k = 0; k < pages(size); ++k) at[k] = 0;
  return (int64_t)at;
}

int64_t system_call(uint64_t number, uint64_t a, uint64_t b, uint64_t c) {
  switch (number) {
    case SYS_write:
      say((const char*)b, c);
      return (int64_t)c;
    case SYS_mmap:
      return map(b);
    case SYS_munmap:  // gives back what was mapped last
      if (a + pages(b) == map_end) map_end = a;
      return 0;
    case SYS_brk:
      if (a > heap_end) heap_end = a;
      return (int64_t)heap_end;
    case SYS_arch_prctl:
      if (a == kSetFs) set_register(kMsrFs, b);
      return a == kSetFs ? 0 : -1;
    case SYS_sched_getaffinity:
      *(uint64_t*)c = 1;
      return sizeof(uint64_t);
    case SYS_mprotect:
    case SYS_madvise:
    case SYS_set_tid_address:
    case SYS_set_robust_list:
      return 0;
    case SYS_exit:
    case SYS_exit_group:
      power_off(a != 0);
      return 0;
    default:
      return -38;  // ENOSYS
  }
}

void start(const uint8_t* file) {
  const Elf64_Ehdr* header = (const Elf64_Ehdr*)file;
  const Elf64_Phdr* part = (const Elf64_Phdr*)(file + header->e_phoff);
  uint64_t headers = 0;
  out(kLineControl, 3);  // eight bits
  for (int i = 0; i < header->e_phnum; ++i) {
    if (part[i].p_type != PT_LOAD) continue;
    uint8_t* to = (uint8_t*)part[i].p_vaddr;
    for (uint64_t k = 0; k < part[i].p_memsz; ++k) {
      to[k] = k < part[i].p_filesz ? file[part[i].p_offset + k] : 0;
    }
    if (part[i].p_offset == 0) headers = part[i].p_vaddr + header->e_phoff;
  }
  set_register(kMsrStar, (uint64_t)8 << 32);
  set_register(kMsrLstar, (uint64_t)trap);
  set_register(kMsrMask, 0x200);
  static const uint64_t random[2] = {1, 2};
  const uint64_t words[] = {1,         (uint64_t)"program",
                            0,         0,
                            AT_PHDR,   headers,
                            AT_PHNUM,  header->e_phnum,
                            AT_PHENT,  sizeof(Elf64_Phdr),
                            AT_PAGESZ, kPage,
                            AT_RANDOM, (uint64_t)random,
                            AT_NULL,   0};
  uint64_t* const top = stack + kStackWords - 32;
  for (size_t k = 0; k < sizeof(words) / sizeof(words[0]); ++k) top[k] = words[k];
  enter(header->e_entry, top);
}
