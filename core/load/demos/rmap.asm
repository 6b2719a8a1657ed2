; SPDX-License-Identifier: GPL-3.0-or-later
;
; rmap: maps one page, gfn 0x40, at `count` addresses from 0x400000 on and touches each, so that its reverse map grows one
; shadow entry at a time; then unmaps them all. CPL 3 touches, since a host may shadow only what CPL 3 does; the handler of
; its UD2 writes the page tables at CPL 0. Entries are born with A clear: KVM prefetches neighbours that have it set.
;
;   mapped     the chain is at its longest
;   unmapped   and empty again
bits 64
%include "core/load/demos/long.inc"

LEAVES	equ	TABLES_GVA + 0x5000	; four leaf tables, for 0x400000 to 0xbfffff
PAGES	equ	0x400000
MOST	equ	2048
PAGE	equ	0x40000 | 7		; gfn 0x40, present, writable, user

section .text
global start
start:
	set_gate 6, handler
	lidt	[idtr]
	cmp	qword [count], MOST
	jbe	.go
	mov	qword [count], MOST
.go:
	xor	r12d, r12d
	enter_user user

user:
	cmp	r12, [count]
	jae	unmap_all
	ud2				; map address number r12, give it in rbx
touch:
	mov	rax, [rbx]
	inc	r12
	jmp	user
unmap_all:
	ud2				; unmap them

handler:
	cmp	r12, [count]
	jae	mapped
map:
	mov	qword [LEAVES + r12 * 8], PAGE
	mov	rbx, r12
	shl	rbx, 12
	add	rbx, PAGES
	add	qword [rsp], 2		; go on after the UD2
	iretq

mapped:
	xor	r12d, r12d
	cmp	r12, [count]
	jae	unmapped
unmap:
	mov	rbx, r12
	shl	rbx, 12
	mov	qword [LEAVES + r12 * 8], 0
	invlpg	[rbx + PAGES]
	inc	r12
	cmp	r12, [count]
	jb	unmap
unmapped:
	nop
	hlt
	jmp	$ - 1

section .data
count:	dq	40
idt_data
