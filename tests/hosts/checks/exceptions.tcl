# Exceptions: told by their vector where nobody handles them, and the guest's own business where it does.
source [file join [file dirname [info script]] lib check.tcl]

# name, code, vector, error code or -, and how far rip is behind the instruction.
set CAUSES {
	"undefined instruction" 0f0b 6 - 0
	"division" 31c9f7f1 0 - 2
	"page not present" 48a1000000000040000090 14 0x0 0
	"not canonical" 48a100000000000000809090 13 0x0 0
}

# A gate for each vector, each with a handler of its own: mov bl, VECTOR; hlt.
proc handlers {} {
	set idt ""
	set code ""
	for {set v 0} {$v < 32} {incr v} {
		set at [expr {0x101000 + $v * 16}]
		append idt [format %04x%04x [expr {(($at & 0xff) << 8) | (($at >> 8) & 0xff)}] 0x0800] 008e \
			[format %02x%02x [expr {($at >> 16) & 0xff}] 0] 0000000000000000
		append code [format b3%02xf4 $v] 90909090909090909090909090
	}
	dbg::mem write 0x101000 $code -phys
	dbg::mem write 0x102000 $idt -phys
	dbg::mem write 0x103000 ff010020100000000000 -phys
}
# lidt [0x103000]
set LIDT 0f011c2500301000

foreach {name code vector error at} $CAUSES {
	test "nobody handles: $name" [string map [list @CODE $code @VECTOR $vector @ERROR $error @AT $at] {
		guest long @CODEf4
		set s [dbg::run]
		stop run $s exception vector @VECTOR
		if {"@ERROR" ne "-"} { want "error code" [hex [dict get $s error_code]] @ERROR }
		want "instruction" [hex [dbg::p {$rip}]] [hex [expr {0x100000 + @AT}]]
	}]
	test "the guest handles: $name" [string map [list @CODE $code @VECTOR $vector] {
		guest long ${::LIDT}@CODEf4
		handlers
		stop run [dbg::run] hlt
		want "the vector whose handler ran" [expr {[dbg::p {$rbx}] & 0xff}] @VECTOR
	}]
}

test "the guest handles: page not present, its address" {
	guest long ${::LIDT}48a1000000000040000090f4
	handlers
	stop run [dbg::run] hlt
	want cr2 [hex [dbg::p {$cr2}]] 0x400000000000
	want "error code on the stack" [hex [lindex [dict get [dbg::x /1gx {$rsp}] values] 0]] 0x0
	want "rip on the stack" [hex [lindex [dict get [dbg::x /2gx {$rsp}] values] 1]] 0x100008
}

test "the guest handles: int3" {
	guest long ${::LIDT}ccf4
	handlers
	stop run [dbg::run] hlt
	want "the vector whose handler ran" [expr {[dbg::p {$rbx}] & 0xff}] 3
}

test "nobody handles: at CPL 3" {
	dbg::load demo:tour
	stop run [dbg::run] exception vector 14 error_code 4 cr2 0x300000 rip [dbg::p unmapped]
}

test "caught before the guest handles it" {
	guest long ${::LIDT}0f0bf4
	handlers
	if {[catch {dbg::catch exception} why]} { leave $why }
	stop run [dbg::run] exception vector 6
	want rip [hex [dbg::p {$rip}]] 0x100008
}

test "nobody handles: real mode" {
	guest real 0f0bf4
	stop run [dbg::run] exception vector 6
}
