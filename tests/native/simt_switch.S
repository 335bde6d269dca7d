# SPDX-License-Identifier: Apache-2.0
# void simt_switch(void** save_stack, void* load_stack): leave one fiber and enter another.
# System V x86-64: the callee-saved registers go on the stack that is left.
.text
.globl simt_switch
.type simt_switch, @function
simt_switch:
  pushq %rbp
  pushq %rbx
  pushq %r12
  pushq %r13
  pushq %r14
  pushq %r15
  movq %rsp, (%rdi)
  movq %rsi, %rsp
  popq %r15
  popq %r14
  popq %r13
  popq %r12
  popq %rbx
  popq %rbp
  ret
.section .note.GNU-stack, "", @progbits
