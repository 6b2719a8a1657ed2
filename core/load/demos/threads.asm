; SPDX-License-Identifier: GPL-3.0-or-later
;
; threads: vCPU 1 changes what gva 0x600000 maps, one of two frames, `rounds` times, at CPL 0; vCPU 0 reads that page at
; CPL 3 all the while. vCPU 1 waits each time until the other has seen it, so both counts are exact at the end: `changes` is
; one more than `rounds`, and `strange` (a value that is in neither frame) is 0. Ends in a HLT of both, vCPU 1 at `finished`,
; then vCPU 0 at `user_done`.
bits 64
%include "core/load/demos/long.inc"

SHARED	equ	0x600000
LEAF	equ	TABLES_GVA + 0x5000
FRAME_A	equ	0x40007
FRAME_B	equ	0x41007

section .text
global start
start:					; vCPU 0
	set_gate 6, flush
	lidt	[idtr]
	enter_user user

user:
	mov	rax, [SHARED]
	cmp	rax, [last]
	je	.same
	inc	qword [changes]
	cmp	rax, [in_a]
	je	.known
	cmp	rax, [in_b]
	je	.known
	inc	qword [strange]
.known:
	mov	[last], rax
.same:
	ud2				; let go of what the TLB holds
	jmp	user

flush:
	cmp	qword [ended], 0
	jne	user_done
	mov	rax, cr3
	mov	cr3, rax
	add	qword [rsp], 2
	iretq
user_done:
	hlt
	jmp	$ - 1

changer:				; vCPU 1
	xor	r12d, r12d
	mov	rbx, [in_a]
.wait:
	pause
	cmp	[last], rbx
	jne	.wait
	cmp	r12, [rounds]
	je	finished
	inc	r12
	test	r12b, 1
	jz	.to_a
	mov	rbx, [in_b]
	mov	eax, FRAME_B
	jmp	change
.to_a:
	mov	rbx, [in_a]
	mov	eax, FRAME_A
change:
	mov	[LEAF], rax
	jmp	changer.wait
finished:
	mov	qword [ended], 1
	hlt
	jmp	$ - 1

section .data
rounds:	dq	200
changes: dq	0
strange: dq	0
last:	dq	0
ended:	dq	0
in_a:	dq	0xaaaaaaaaaaaaaaaa
in_b:	dq	0xbbbbbbbbbbbbbbbb
idt_data

section .frames progbits alloc write
frame_a: dq	0xaaaaaaaaaaaaaaaa
	align	4096
frame_b: dq	0xbbbbbbbbbbbbbbbb
