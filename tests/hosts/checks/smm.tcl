# System management mode: an SMI enters it, its memory shows only there, RSM leaves it.
source [file join [file dirname [info script]] lib check.tcl]

test "the handler leaves its mark twice" {
	dbg::load demo:smm
	stop run [dbg::run] hlt
	want mark [dict get [dbg::mem read mark 4] data] 02000000
}

test "caught on its way in and out" {
	dbg::load demo:smm
	if {[catch {dbg::catch smi} why]} { leave $why }
	stop in [dbg::run] smi rip 0x8000
	want "inside" [dict get [dbg::info smm] smm] 1
	want "visible at 0x38000" [lmap s [dict get [dbg::info smm] slots] { dict get $s visible }] has smm
	stop out [dbg::c] rsm rip [expr {[dbg::p raise] + 2}]
	stop again [dbg::c] smi rip 0x8000
	dbg::delete
	stop end [dbg::c] hlt
}

test "a step inside is one instruction" {
	dbg::load demo:smm
	if {[catch {dbg::catch smi} why]} { leave $why }
	dbg::run
	want rip [hex [dict get [dbg::si] rip]] 0x8006
}

test "the state that was saved" {
	dbg::load demo:smm
	if {[catch {dbg::catch smi} why]} { leave $why }
	dbg::run
	set saved [dict get [dbg::info smm] saved]
	want rip [hex [dict get $saved rip]] [hex [expr {[dbg::p raise] + 2}]]
	want cs [dict get $saved cs.selector] 8
	want smbase [hex [dict get $saved smbase]] 0x30000
}

test "by the debugger's word" {
	dbg::load demo:smm
	dbg::tb raise
	stop run [dbg::run] breakpoint
	dbg::smi
	dbg::tb failed ;# the guest counts one SMI, there were two
	stop end [dbg::c] breakpoint
	want mark [dict get [dbg::mem read mark 4] data] 02000000
}
