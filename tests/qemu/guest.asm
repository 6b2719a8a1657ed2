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

%define CODE32	0x08
%define DATA0	0x10
%define CODE64	0x18
%define UCODE32 0x23
%define UDATA	0x2b
%define UCODE64 0x33
%define TSS32	0x38
%define TSS64	0x40

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
gdt_end:
gdtr:	dw gdt_end - gdt - 1
	dd gdt
align 16
tss32:	dd 0, KSTACK, DATA0
	times 23 dd 0
tss64:	dd 0, KSTACK, 0
	times 23 dd 0
idtr32:	dw 0x82 * 8 - 1
	dd idt32
idtr64:	dw 0x82 * 16 - 1
	dq idt64

%macro GATE32 1
	dw stub32_%1, CODE32, 0x8e00, 0
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
	mov ax, DATA0		; 64-bit code had a null one
	mov ss, ax
	add dword [VAR_JOB], JOB_SIZE
	mov esp, KSTACK
	jmp next_job

; ---- the same in 64-bit code

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
