// SPDX-License-Identifier: Apache-2.0
// Loaded by a multiboot loader in 32-bit mode: identity-maps 4 GiB, turns on SSE, AVX and AVX-512,
// enters 64-bit mode and calls start(module address).
  .section .multiboot, "a"
  .align 4
  .long 0x1BADB002, 0x00000003, -(0x1BADB002 + 0x00000003)

  .bss
  .align 4096
pml4: .skip 4096
pdpt: .skip 4096
pages: .skip 4 * 4096
  .align 16
stack: .skip 65536
stack_top:
trap_stack: .skip 65536
trap_stack_top:

  .data
  .align 8
gdt: .quad 0, 0x00AF9A000000FFFF, 0x00CF92000000FFFF
gdt_pointer: .word 23
  .long gdt

  .text
  .code32
  .global _start
_start:
  mov 24(%ebx), %esi        // multiboot: first module
  mov (%esi), %esi          // its address
  movl $pdpt + 3, pml4
  mov $pages + 3, %eax
  mov $pdpt, %edi
  mov $4, %ecx
1: mov %eax, (%edi)
  add $4096, %eax
  add $8, %edi
  loop 1b
  mov $0x83, %eax           // 2 MiB pages: present, writable, large
  mov $pages, %edi
  mov $2048, %ecx
2: mov %eax, (%edi)
  add $0x200000, %eax
  add $8, %edi
  loop 2b
  mov %cr4, %eax
  or $0x40620, %eax         // PAE, OSFXSR, OSXMMEXCPT, OSXSAVE
  mov %eax, %cr4
  mov $pml4, %eax
  mov %eax, %cr3
  mov $0xC0000080, %ecx     // EFER: SYSCALL, long mode
  rdmsr
  or $0x101, %eax
  wrmsr
  mov %cr0, %eax
  and $0xFFFFFFF3, %eax     // no emulation, no task switch
  or $0x80000022, %eax
  mov %eax, %cr0
  lgdt gdt_pointer
  ljmp $8, $3f
  .code64
3: mov $16, %eax
  mov %eax, %ds
  mov %eax, %es
  mov %eax, %ss
  xor %ecx, %ecx            // XCR0: x87, SSE, AVX, AVX-512
  xor %edx, %edx
  mov $0xE7, %eax
  xsetbv
  mov $stack_top, %esp
  mov %esi, %edi
  call start
  hlt

// The program's system calls: on a stack of their own, since its red zone is in use.
  .global trap
trap:
  mov %rsp, saved_stack(%rip)
  mov $trap_stack_top, %rsp
  push %rcx
  push %r11
  push %rdi
  push %rsi
  push %rdx
  push %r10
  push %r8
  push %r9
  mov %rdx, %rcx            // third argument
  mov %rsi, %rdx
  mov %rdi, %rsi
  mov %rax, %rdi
  call system_call
  pop %r9
  pop %r8
  pop %r10
  pop %rdx
  pop %rsi
  pop %rdi
  pop %r11
  pop %rcx
  mov saved_stack(%rip), %rsp
  jmp *%rcx

  .global enter
enter:                      // enter(entry, stack)
  mov %rsi, %rsp
  xor %edx, %edx
  jmp *%rdi

  .bss
saved_stack: .quad 0

  .section .note.GNU-stack, "", @progbits
