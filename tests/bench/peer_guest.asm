; SPDX-License-Identifier: GPL-3.0-or-later
;
; The guest of bench-peers, the same bytes for QEMU (multiboot, flat) and for kvmscope (--mode prot --at 0x100000): it
; maps 100,000 pages of 4 KiB from 1 GiB on to 1,024 frames, enters long mode, touches them all and spins at `ready`.
bits 32
org 0x100000

PAGES equ 100000
PML4 equ 0x200000
PDPT equ 0x201000
PD_LOW equ 0x202000
PD_HIGH equ 0x203000
TABLES equ 0x210000
FRAMES equ 0x1000000

	align 4
header: dd 0x1badb002, 0x10000, -(0x1badb002 + 0x10000)
	dd header, 0x100000, 0, 0, start
	times 0x40 - ($ - $$) db 0
start:	cli
	mov esp, 0x90000
	mov dword [PML4], PDPT + 7
	mov dword [PDPT], PD_LOW + 7
	mov dword [PDPT + 8], PD_HIGH + 7
	xor ecx, ecx
.low:	mov eax, ecx			; the first 1 GiB, one to one
	shl eax, 21
	or eax, 0x87
	mov [PD_LOW + ecx * 8], eax
	inc ecx
	cmp ecx, 512
	jb .low
	xor ecx, ecx
.dirs:	mov eax, ecx
	shl eax, 12
	add eax, TABLES + 7
	mov [PD_HIGH + ecx * 8], eax
	inc ecx
	cmp ecx, (PAGES + 511) / 512
	jb .dirs
	xor ecx, ecx
.leaf:	mov eax, ecx
	and eax, 1023
	shl eax, 12
	add eax, FRAMES + 7
	mov [TABLES + ecx * 8], eax
	inc ecx
	cmp ecx, PAGES
	jb .leaf
	mov eax, cr4
	or eax, 0x20
	mov cr4, eax
	mov eax, PML4
	mov cr3, eax
	mov ecx, 0xc0000080
	rdmsr
	or eax, 0x100
	wrmsr
	lgdt [gdtr]
	mov eax, cr0
	or eax, 0x80000001
	mov cr0, eax
	jmp 8:wide
bits 64
wide:	mov ax, 16
	mov ds, ax
	mov es, ax
	mov ss, ax
	cmp byte [0x5000], 0		; set from outside: the rest at CPL 3, where the host runs it on shadow tables
	je .go
	push 0x1b
	push 0x90000
	push 2
	push 0x23
	push .go
	iretq
.go:	mov rbx, 0x40000000
	mov ecx, PAGES
.touch:	mov [rbx], rbx
	add rbx, 0x1000
	dec ecx
	jnz .touch
	cmp byte [0x5000], 0
	je ready
	ud2				; and stop there
	align 8
gdt:	dq 0, 0x00af9b000000ffff, 0x00cf93000000ffff, 0x00cff3000000ffff, 0x00affb000000ffff
gdtr:	dw gdtr - gdt - 1
	dd gdt
	times 0x200 - ($ - $$) db 0x90
ready:	inc rax				; 0x100200
	jmp ready
	times 0x240 - ($ - $$) db 0x90
store:	inc dword [FRAMES]		; 0x100240, for whoever sets rip here
	jmp store
