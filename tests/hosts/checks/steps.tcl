# Each step executes one instruction, whatever KVM does with it: what leaves and comes back, what its emulator does, what writes the flags.
source [file join [file dirname [info script]] lib check.tcl]

# The places behind so many steps.
proc places {n} {
	set found {}
	for {set i 0} {$i < $n} {incr i} { lappend found [hex [dict get [dbg::si] rip]] }
	return $found
}

test "one by one through demo:tour" {
	dbg::load demo:tour
	want places [places 18] {0x20000a 0x20000f 0x200012 0x200017 0x20001a 0x20001e 0x200021 0x200026 0x200028 0x20002b 0x20002e
		0x200033 0x200035 0x200033 0x200035 0x200033 0x200035 0x200033}
}

test "ten, then five" {
	dbg::load demo:tour
	dbg::si 10
	want rip [hex [dict get [dbg::si 5] rip]] 0x200035
}

test "over an access to a device" {
	dbg::load demo:tour
	dbg::tb device
	dbg::run
	want places [places 5] {0x200026 0x200028 0x20002b 0x20002e 0x200033}
}

test "hlt and nop in long mode" {
	guest long 90f490f490f4
	want places [places 6] {0x100001 0x100002 0x100003 0x100004 0x100005 0x100006}
}

test "nop after nop" {
	foreach {mode at} {long 0x100000 real 0x7c00 prot 0x100000} {
		guest $mode 909090909090f4
		want "$mode" [places 6] [lmap i {1 2 3 4 5 6} { hex [expr {$at + $i}] }]
	}
}

test "a port" {
	guest long e6db909090f4
	want places [places 4] {0x100002 0x100003 0x100004 0x100005}
}

test "the guest never sees the flag that steps it" {
	guest long f99c58509d9c599090f4
	want places [places 8] {0x100001 0x100002 0x100003 0x100004 0x100005 0x100006 0x100007 0x100008}
	want "flags pushed first" [hex [dbg::p {$rax}]] 0x3
	want "flags pushed behind popf" [hex [dbg::p {$rcx}]] 0x3
	want rflags [hex [dbg::p {$rflags}]] 0x3
}

test "a repeated string ends where it ends" {
	guest long b903000000be00501000bf00511000f3a49090f4
	dbg::si 3
	for {set i 0} {$i < 3} {incr i} {
		set rip [hex [dict get [dbg::si] rip]]
		if {$rip ne "0x10000f"} { break }
	}
	want rip $rip 0x100011
	want rcx [dbg::p {$rcx}] 0
	want "the next" [places 2] {0x100012 0x100013}
}

test "cpuid and reading control registers" {
	guest long 31c00fa20f20c00f20d89090f4
	want places [places 6] {0x100002 0x100004 0x100007 0x10000a 0x10000b 0x10000c}
	want cr3 [hex [dbg::p {$rax}]] [hex [dbg::p {$cr3}]]
}

test "into a fault's handler and out of it by iret" {
	dbg::load demo:rmap
	dbg::tb map
	stop run [dbg::run] breakpoint
	for {set i 0} {$i < 5} {incr i} { dbg::si }
	want "before iretq" [string match *iretq* [dbg::draw x/i {$rip}]] 1
	want "behind it" [hex [dict get [dbg::si] rip]] [hex [dbg::p touch]]
}

test "in real mode" {
	dbg::load demo:real
	set first [dbg::p {$rip}]
	want "cli" [hex [dict get [dbg::si] rip]] [hex [expr {$first + 1}]]
	want "xor" [hex [dict get [dbg::si] rip]] [hex [expr {$first + 3}]]
	want "mov ds" [hex [dict get [dbg::si] rip]] [hex [expr {$first + 5}]]
}

test "two by two is one by one twice" {
	dbg::load demo:rmap
	set single [places 24]
	dbg::load demo:rmap
	set double {}
	for {set i 0} {$i < 12} {incr i} { lappend double [hex [dict get [dbg::si 2] rip]] }
	want places $double [lmap {a b} $single { set b }]
}
