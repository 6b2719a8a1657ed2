; SPDX-License-Identifier: GPL-3.0-or-later
;
; The guest of the comparison with QEMU. It works off a list of jobs: switch to the job's paging mode, do its accesses one
; after the other at CPL 0 or 3, note for each how it ended (vector, error code, CR2, the data, where), go back to flat 32-bit
; code, next job. No access can end the list: whatever exception it raises is noted and the next one follows.
;
; Runs from 0:8000 in real mode. tests/qemu/qemu.h has the same numbers.

%define PARAMS   0x20000	; jobs: count
%define JOBS	 0x21000
%define VAR_JOB	 0x20100
%define VAR_JOBS 0x20104
%define VAR_CUR	 0x20108
%define VAR_LEFT 0x2010c
%define VAR_WIDE 0x20110
%define KSTACK	 0x7000
%define USTACK	 0x1f000

%define J_CR0	0
%define J_CR4	4
%define J_CR3	8
%define J_EFER	16
%define J_WIDE	20
%define J_FLAGS 24
%define J_COUNT 28
%define J_LIST	32
%define JOB_SIZE 64

%define WIDE_INSN 2		; instructions, in protected or virtual-8086 mode; and in real mode:
%define WIDE_REAL 3

%define A_GVA	0
%define A_VALUE 8
%define A_OP	16
%define A_FLAGS 20
%define A_VECTOR 32
%define A_ERROR 36
%define A_CR2	40
%define A_DATA	48
%define A_IP	56
%define A_CS	60
%define ACCESS_SIZE 64

%define OP_FETCH 8

; An instruction: what it begins with, how it ended.
%define I_GPR	0		; eax ecx edx ebx esp ebp esi edi
%define I_FLAGS 32
%define I_IP	36
%define I_CS	40
%define I_SS	44
%define I_DS	48
%define I_ES	52
%define I_FS	56
%define I_GS	60
%define O_GPR	64		; edi esi ebp - ebx edx ecx eax, as PUSHAD leaves them
%define O_VECTOR 96
%define O_ERROR 100
%define O_IP	104
%define O_CS	108
%define O_FLAGS 112
%define O_SP	116
%define O_SS	120
%define O_DS	124
%define O_ES	128
%define O_FS	132
%define O_GS	136
%define INSN_SIZE 256
%define INSN_AT	 0x30000
%define INSN_BYTES 0x60000	; instructions, then data

%define CODE32	0x08
%define DATA0	0x10
%define CODE64	0x18
%define UCODE32 0x23
%define UDATA	0x2b
%define UCODE64 0x33
%define TSS32	0x38
%define TSS64	0x40
%define CODE16	0x50
%define DATA16	0x58

org 0x8000
bits 16
	cli
	xor ax, ax
	mov ds, ax
	o32 lgdt [gdtr]
	mov eax, cr0
	or al, 1
	mov cr0, eax
	jmp dword CODE32:start32

align 16
gdt:	dq 0
	dq 0x00cf9b000000ffff	; CODE32
	dq 0x00cf93000000ffff	; DATA0
	dq 0x00af9b000000ffff	; CODE64
	dq 0x00cffb000000ffff	; UCODE32
	dq 0x00cff3000000ffff	; UDATA
	dq 0x00affb000000ffff	; UCODE64
	dw 0x67, tss32, 0x8900, 0
	dw 0x67, tss64, 0x8900, 0
	dq 0
	dq 0x00009b000000ffff	; 0x50 CODE16
	dq 0x000093000000ffff	; 0x58 DATA16
	; for the instructions: base 0x70000 and above, nothing that could reach the program
	dq 0x0040f3070000ffff	; 0x63 data, 64 KiB
	dq 0x0040f30780007fff	; 0x6b data, 32 KiB
	dq 0x0000f70700003fff	; 0x73 data, expands down from 0xffff
	dq 0x0040f1070000ffff	; 0x7b data, to be read only
	dq 0x0040f3080000ffff	; 0x83 stack, 32 bits
	dq 0x0000f3080000ffff	; 0x8b stack, 16 bits
	dq 0x0040f70800003fff	; 0x93 stack, expands down from 4 GiB
	dq 0x0000fb030000ffff	; 0x9b code, 16 bits
	dq 0x0000fb040000ffff	; 0xa3
	dq 0x0000fb050000ffff	; 0xab
	dq 0x0000fb060000ffff	; 0xb3
	dq 0x004073070000ffff	; 0xbb data, not present
	dq 0x0040f9030000ffff	; 0xc3 code, to be executed only
	dq 0x0040ff030000ffff	; 0xcb code, conforming
	dq 0x004093070000ffff	; 0xd0 data, the supervisor's
	dq 0x00cf9f000000ffff	; 0xd8 code, conforming, the supervisor's
gdt_end:
gdtr:	dw gdt_end - gdt - 1
	dd gdt
align 16
tss32:	dd 0, KSTACK, DATA0
	times 22 dd 0
	dd 0x680000		; no I/O bitmap
tss64:	dd 0, KSTACK, 0
	times 23 dd 0
idtr32:	dw 0x82 * 8 - 1
	dd idt32
idtr64:	dw 0x82 * 16 - 1
	dq idt64

%macro GATE32 1
  %if %1 == 3 || %1 == 4	; int3 and into are CPL 3's to use
	dw stub32_%1, CODE32, 0xee00, 0
  %else
	dw stub32_%1, CODE32, 0x8e00, 0
  %endif
%endmacro
%macro GATE64 1
	dw stub64_%1, CODE64, 0x8e00, 0
	dq 0
%endmacro

align 16
idt32:
%assign v 0
%rep 32
	GATE32 %[v]
%assign v v + 1
%endrep
	times (0x80 - 0x20) * 8 db 0
	dw stub32_128, CODE32, 0xee00, 0
	dw stub32_129, CODE32, 0xee00, 0
align 16
idt64:
%assign v 0
%rep 32
	GATE64 %[v]
%assign v v + 1
%endrep
	times (0x80 - 0x20) * 16 db 0
	dw stub64_128, CODE64, 0xee00, 0
	dq 0
	dw stub64_129, CODE64, 0xee00, 0
	dq 0

; What both machines stop at: soft at the debug exit, QEMU at its pvpanic device. The next instruction is in a block of its
; own, so that QEMU has stopped before it.
%macro SIGNAL 0
	mov al, 1
	mov dx, 0x501
	out dx, al
	mov dx, 0x505
	out dx, al
	jmp %%next
%%next:	nop
%endmacro

bits 32
align 16
start32:
	mov ax, UDATA
	mov ds, ax
	mov es, ax
	mov ax, DATA0
	mov ss, ax
	mov al, 0xff		; no interrupts
	out 0x21, al
	out 0xa1, al
batch:
	mov esp, KSTACK
	mov eax, [PARAMS]
	mov [VAR_JOBS], eax
	mov dword [VAR_JOB], JOBS
next_job:
	cmp dword [VAR_JOBS], 0
	je all_done
	dec dword [VAR_JOBS]
	mov ebx, [VAR_JOB]
	mov eax, [ebx + J_LIST]
	mov [VAR_CUR], eax
	mov eax, [ebx + J_COUNT]
	mov [VAR_LEFT], eax
	mov ecx, 0xc0000080
	mov eax, [ebx + J_EFER]
	xor edx, edx
	wrmsr
	mov cr2, edx
	mov eax, [ebx + J_CR4]
	mov cr4, eax
	mov eax, [ebx + J_CR3]
	mov cr3, eax
	mov eax, [ebx + J_WIDE]
	mov [VAR_WIDE], eax
	cmp eax, WIDE_INSN
	jae insn_start
	mov eax, [ebx + J_CR0]
	mov cr0, eax
	jmp paging_on
paging_on:
	test byte [ebx + J_WIDE], 1
	jnz to_64
	lidt [idtr32]
	and byte [gdt + TSS32 + 5], 0xfd
	mov ax, TSS32
	ltr ax
	jmp issue32
to_64:
	jmp CODE64:start64

all_done:
	SIGNAL
	jmp batch

; ---- the accesses: the same few instructions in a supervisor's page and in a user's

%macro THUNKS32 1
%1_read1:
	mov al, [edi]
	int 0x80
%1_read4:
	mov eax, [edi]
	int 0x80
%1_read8:			; no such access in 32-bit code
	mov ax, [edi]
	int 0x80
%1_write1:
	mov [edi], cl
	int 0x80
%1_write4:
	mov [edi], ecx
	int 0x80
%1_write8:
	mov [edi], cx
	int 0x80
%1_xadd:
	mov eax, ecx
	lock xadd [edi], eax
	int 0x80
%1_push:			; through the stack segment
	mov ebp, edi
	mov [ebp], ecx
	int 0x80
%endmacro

%macro TABLE 3
	d%2 %1_read1, %1_read4, %1_read8, %1_write1, %1_write4, %1_write8, %1_xadd, %1_push, %3
%endmacro

	THUNKS32 kernel32
kernel32_fetch:
	jmp edi
kernel32_cr0:
	mov cr0, ecx
	int 0x80
kernel32_cr4:
	mov cr4, ecx
	int 0x80
kernel32_cr3:
	mov eax, cr3
	mov cr3, eax
	int 0x80
kernel32_invlpg:
	invlpg [edi]
	int 0x80
kernel32_set4:
	mov [edi], ecx
	int 0x80
kernel32_set8:
	mov [edi + 4], edx
	mov [edi], ecx
	int 0x80
kernel32_flush:
	mov eax, cr4
	mov ebx, eax
	xor bl, 0x80
	mov cr4, ebx
	mov cr4, eax
	int 0x80

align 4
ops32:
	TABLE kernel32, d, kernel32_fetch
	dd kernel32_cr0, kernel32_cr4, kernel32_cr3, kernel32_invlpg, kernel32_set4, kernel32_set8, kernel32_flush
user_ops32:
	TABLE user32, d, 0

issue32:
	mov esp, KSTACK
	push 2
	popfd
	cmp dword [VAR_LEFT], 0
	je done32
	dec dword [VAR_LEFT]
	mov esi, [VAR_CUR]
	mov edi, [esi + A_GVA]
	mov ecx, [esi + A_VALUE]
	mov edx, [esi + A_VALUE + 4]
	mov ebx, [esi + A_OP]
	mov eax, [esi + A_FLAGS]
	mov ebp, eax
	and ebp, 2		; AC
	shl ebp, 17
	or ebp, 2
	test al, 1
	mov eax, 0
	jnz .user
	push ebp
	popfd
	jmp [ops32 + ebx * 4]
.user:
	push UDATA
	push USTACK
	push ebp
	push UCODE32
	cmp ebx, OP_FETCH
	je .fetch
	push dword [user_ops32 + ebx * 4]
	iretd
.fetch:
	push edi
	iretd

%macro STUB32 1
stub32_%1:
  %if %1 == 8 || (%1 >= 10 && %1 <= 14) || %1 == 17
  %else
	push 0
  %endif
	push %1
	jmp common32
%endmacro
%assign v 0
%rep 32
	STUB32 %[v]
%assign v v + 1
%endrep
	STUB32 128
	STUB32 129

common32:
	cmp dword [ss:VAR_WIDE], WIDE_INSN
	je insn_common
	mov esi, [VAR_CUR]
	mov [esi + A_DATA], eax
	pop eax
	mov [esi + A_VECTOR], eax
	pop eax
	mov [esi + A_ERROR], eax
	pop eax
	mov [esi + A_IP], eax
	pop eax
	mov [esi + A_CS], eax
	mov eax, cr2
	mov [esi + A_CR2], eax
	add dword [VAR_CUR], ACCESS_SIZE
	jmp issue32

done32:
	mov ebx, [VAR_JOB]
	test byte [ebx + J_FLAGS], 1
	jz leave
	SIGNAL
leave:
	mov eax, cr0
	and eax, 0x7fffffff
	mov cr0, eax
	jmp .off
.off:
	xor eax, eax
	mov cr4, eax
	mov ecx, 0xc0000080
	xor edx, edx
	wrmsr
	mov eax, 0x11		; PE, ET
	mov cr0, eax
job_done:
	mov ax, DATA0		; 64-bit code had a null one
	mov ss, ax
	add dword [VAR_JOB], JOB_SIZE
	mov esp, KSTACK
	jmp next_job

; ---- single instructions: registers from the list, IRET to them, INT 0x80 or what they raise back, registers to the list

insn_start:
	mov esi, [VAR_CUR]	; copied here by the guest, so that no stale translation of it is left
	mov edi, INSN_AT
	mov [VAR_CUR], edi
	mov ecx, INSN_BYTES / 4
	cld
	rep movsd
	cmp dword [VAR_WIDE], WIDE_REAL
	je real_start
	lidt [idtr32]
	and byte [gdt + TSS32 + 5], 0xfd
	mov ax, TSS32
	ltr ax

insn_next:
	mov ax, UDATA
	mov ds, ax
	mov es, ax
	mov esp, KSTACK
	cmp dword [VAR_LEFT], 0
	je insn_done
	dec dword [VAR_LEFT]
	mov esi, [VAR_CUR]
	test dword [esi + I_FLAGS], 1 << 17
	jz .protected
	push dword [esi + I_GS]
	push dword [esi + I_FS]
	push dword [esi + I_DS]
	push dword [esi + I_ES]
.protected:
	push dword [esi + I_SS]
	push dword [esi + I_GPR + 16]
	push dword [esi + I_FLAGS]
	push dword [esi + I_CS]
	push dword [esi + I_IP]
	jnz .registers		; PUSH leaves the flags alone
	mov es, [esi + I_ES]
	mov fs, [esi + I_FS]
	mov gs, [esi + I_GS]
	mov ds, [esi + I_DS]
.registers:
	mov eax, [ss:esi + I_GPR]
	mov ecx, [ss:esi + I_GPR + 4]
	mov edx, [ss:esi + I_GPR + 8]
	mov ebx, [ss:esi + I_GPR + 12]
	mov ebp, [ss:esi + I_GPR + 20]
	mov edi, [ss:esi + I_GPR + 28]
	mov esi, [ss:esi + I_GPR + 24]
	iretd

insn_common:
	pushad
	mov esi, [ss:VAR_CUR]
	mov [ss:esi + O_DS], ds
	mov [ss:esi + O_ES], es
	mov [ss:esi + O_FS], fs
	mov [ss:esi + O_GS], gs
	mov ax, UDATA
	mov ds, ax
	mov es, ax
	lea edi, [esi + O_GPR]
	mov ebx, esi
	mov esi, esp
	mov ecx, 8 + 7		; PUSHAD's, then vector to SS
	cld
	rep movsd
	test dword [ebx + O_FLAGS], 1 << 17
	jz .protected
	mov eax, [esi]
	mov [ebx + O_ES], eax
	mov eax, [esi + 4]
	mov [ebx + O_DS], eax
	mov eax, [esi + 8]
	mov [ebx + O_FS], eax
	mov eax, [esi + 12]
	mov [ebx + O_GS], eax
.protected:
	add dword [VAR_CUR], INSN_SIZE
	jmp insn_next

insn_done:
	SIGNAL
	jmp job_done

real_start:
	lidt [idtr_real]
	jmp CODE16:.sixteen
bits 16
.sixteen:
	mov ax, DATA16
	mov ds, ax
	mov es, ax
	mov fs, ax
	mov gs, ax
	mov ss, ax
	mov eax, cr0
	and al, 0xfe
	mov cr0, eax
	jmp 0:real_next
real_next:
	mov ax, VAR_JOB >> 4 & 0xf000
	mov ds, ax
	cmp dword [VAR_LEFT & 0xffff], 0
	je real_done
	dec dword [VAR_LEFT & 0xffff]
	mov eax, [VAR_CUR & 0xffff]
	shr eax, 4
	mov ds, ax
	mov ss, [I_SS]
	mov esp, [I_GPR + 16]
	push word [I_FLAGS]
	push word [I_CS]
	push word [I_IP]
	mov es, [I_ES]
	mov fs, [I_FS]
	mov gs, [I_GS]
	mov eax, [I_GPR]
	mov ecx, [I_GPR + 4]
	mov edx, [I_GPR + 8]
	mov ebx, [I_GPR + 12]
	mov ebp, [I_GPR + 20]
	mov esi, [I_GPR + 24]
	mov edi, [I_GPR + 28]
	mov ds, [I_DS]
	iret

%assign v 0
%rep 256
real_%[v]:
	push word v
	jmp real_common
%assign v v + 1
%endrep

real_common:
	push ds
	push es
	push eax
	mov ax, VAR_JOB >> 4 & 0xf000
	mov ds, ax
	mov eax, [VAR_CUR & 0xffff]
	add dword [VAR_CUR & 0xffff], INSN_SIZE
	shr eax, 4
	mov ds, ax
	pop eax
	mov [O_GPR + 28], eax
	mov [O_GPR + 24], ecx
	mov [O_GPR + 20], edx
	mov [O_GPR + 16], ebx
	mov [O_GPR + 8], ebp
	mov [O_GPR + 4], esi
	mov [O_GPR], edi
	pop word [O_ES]
	pop word [O_DS]
	pop word [O_VECTOR]
	pop word [O_IP]
	pop word [O_CS]
	pop word [O_FLAGS]
	mov [O_SP], esp
	mov [O_SS], ss
	mov [O_FS], fs
	mov [O_GS], gs
	xor ax, ax
	mov ss, ax
	mov esp, KSTACK
	jmp real_next
real_done:
	mov eax, cr0
	or al, 1
	mov cr0, eax
	jmp dword CODE32:real_back
bits 32
real_back:
	mov ax, UDATA
	mov ds, ax
	mov es, ax
	xor ax, ax
	mov fs, ax
	mov gs, ax
	mov ax, DATA0
	mov ss, ax
	mov esp, KSTACK
	jmp insn_done

align 4
idtr_real:
	dw 256 * 4 - 1
	dd ivt
ivt:
%assign v 0
%rep 256
	dw real_%[v], 0
%assign v v + 1
%endrep

; ---- the accesses in 64-bit code

bits 64
default abs

%macro THUNKS64 1
%1_read1:
	mov al, [rdi]
	int 0x80
%1_read4:
	mov eax, [rdi]
	int 0x80
%1_read8:
	mov rax, [rdi]
	int 0x80
%1_write1:
	mov [rdi], cl
	int 0x80
%1_write4:
	mov [rdi], ecx
	int 0x80
%1_write8:
	mov [rdi], rcx
	int 0x80
%1_xadd:
	mov rax, rcx
	lock xadd [rdi], eax
	int 0x80
%1_push:
	mov rbp, rdi
	mov [rbp], ecx
	int 0x80
%endmacro

start64:
	lidt [idtr64]
	and byte [gdt + TSS64 + 5], 0xfd
	mov ax, TSS64
	ltr ax
	jmp issue64

	THUNKS64 kernel64
kernel64_fetch:
	jmp rdi
kernel64_cr0:
	mov cr0, rcx
	int 0x80
kernel64_cr4:
	mov cr4, rcx
	int 0x80
kernel64_cr3:
	mov rax, cr3
	mov cr3, rax
	int 0x80
kernel64_invlpg:
	invlpg [rdi]
	int 0x80
kernel64_set4:
	mov [rdi], ecx
	int 0x80
kernel64_set8:
	mov [rdi], rcx
	int 0x80
kernel64_flush:
	mov rax, cr4
	mov rbx, rax
	xor bl, 0x80
	mov cr4, rbx
	mov cr4, rax
	int 0x80

align 8
ops64:
	TABLE kernel64, q, kernel64_fetch
	dq kernel64_cr0, kernel64_cr4, kernel64_cr3, kernel64_invlpg, kernel64_set4, kernel64_set8, kernel64_flush
user_ops64:
	TABLE user64, q, 0

issue64:
	mov esp, KSTACK
	push 2
	popfq
	cmp dword [VAR_LEFT], 0
	je done64
	dec dword [VAR_LEFT]
	mov esi, [VAR_CUR]
	mov rdi, [rsi + A_GVA]
	mov rcx, [rsi + A_VALUE]
	mov ebx, [rsi + A_OP]
	mov eax, [rsi + A_FLAGS]
	mov ebp, eax
	and ebp, 2
	shl ebp, 17
	or ebp, 2
	test al, 1
	mov eax, 0
	jnz .user
	push rbp
	popfq
	jmp [ops64 + rbx * 8]
.user:
	push UDATA
	push USTACK
	push rbp
	push UCODE64
	cmp ebx, OP_FETCH
	je .fetch
	push qword [user_ops64 + rbx * 8]
	iretq
.fetch:
	push rdi
	iretq

%macro STUB64 1
stub64_%1:
  %if %1 == 8 || (%1 >= 10 && %1 <= 14) || %1 == 17
  %else
	push 0
  %endif
	push %1
	jmp common64
%endmacro
%assign v 0
%rep 32
	STUB64 %[v]
%assign v v + 1
%endrep
	STUB64 128
	STUB64 129

common64:
	mov esi, [VAR_CUR]
	mov [rsi + A_DATA], rax
	pop rax
	mov [rsi + A_VECTOR], eax
	pop rax
	mov [rsi + A_ERROR], eax
	pop rax
	mov [rsi + A_IP], eax
	pop rax
	mov [rsi + A_CS], eax
	mov rax, cr2
	mov [rsi + A_CR2], rax
	add dword [VAR_CUR], ACCESS_SIZE
	jmp issue64

done64:
	mov ebx, [VAR_JOB]
	test byte [rbx + J_FLAGS], 1
	jz .leave
	SIGNAL
.leave:
	push CODE32
	push leave
	o64 retf

; ---- the only page of this program that CPL 3 may use

	times 0xc000 - 0x8000 - ($ - $$) db 0
	THUNKS64 user64
bits 32
	THUNKS32 user32
