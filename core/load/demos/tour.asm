; SPDX-License-Identifier: GPL-3.0-or-later
;
; tour: one access of every kind that the debugger can show, at CPL 3 without a stack or an interrupt table. Its bytes are
; fixed: people and tests know its addresses by heart.
bits 64
section .text

global start
start:
	mov	rax, 0x1122334455667788
write_alias:				; two virtual pages over one physical page, gfn 0x40
	mov	rbx, 0x240000
	mov	[rbx], rax
read_alias:
	mov	rbx, 0x250000
	mov	rcx, [rbx]
	add	rcx, 1
	mov	[rbx], rcx
device:					; no memory slot: gpa 0xd0000000
	mov	rbx, 0x260000
	mov	[rbx], eax
	mov	edx, [rbx + 4]
	mov	[rbx + 8], edx
spin:
	mov	ecx, 10000000
.again:
	dec	ecx
	jnz	.again
readonly:				; a write leaves as MMIO, a read maps the page
	mov	rbx, 0x280000
	mov	[rbx], eax
	mov	eax, [rbx]
	mov	rbx, 0x290000
	mov	eax, [rbx]
unmapped:				; ends here: a page fault that nobody handles
	mov	eax, [0x300000]
	hlt
