# From a guest page to everybody who maps it: a reverse map that grows from nothing to one entry, to many, and shrinks to
# nothing again, drawn at every step. Source: the reverse mapping of shadow page tables, the fifth discussion.
#
#   kvmscope -x scripts/rmap-chain.tcl
source [file join [file dirname [info script]] lib story.tcl]

story::tell rmap_chain "A reverse map, 0 to 1 to many and back" {
	demo:rmap maps one page, gfn 0x40, at 17 addresses from 0x400000 on, touches each at CPL 3, and unmaps them again. In the
	drawings a mapping is its page's number, 400 for 0x400000; each line is one descriptor.
} {
	dbg::load demo:rmap
	dbg::mem write count 1100000000000000
	if {[blind] ne ""} {
		step {The reverse map of gfn 0x40.}
		cannot "a chain" [blind]
		step {The guest's own part of it: 17 mappings, and none at the end.}
		dbg::break mapped
		dbg::run
		expect "gva 0x410000 maps" [hex [dict get [dbg::walk 0x410000 r -user] gpa]] 0x40000
		dbg::delete
		expect "the guest ends" [dict get [dbg::c] reason] hlt
		return [expect "gva 0x410000" [dict get [dbg::walk 0x410000 r -user] verdict] exception]
	}

	proc rmap {} { lindex [dbg::info rmap 0x40] 0 }
	proc kind {} { dict get [rmap] kind }
	proc pages {} { lmap s [dict get [rmap] sptes] { format %x [expr {[dict get $s gva] >> 12}] } }
	proc used {} { lmap d [dict get [rmap] descriptors] { dict get $d used } }
	proc chain {} {
		set pages [pages]
		puts "   | head [hex [dict get [rmap] head]]"
		foreach d [dict get [rmap] descriptors] {
			set n [dict get $d used]
			puts "   |   descriptor [hex [dict get $d address]]  $n: [lrange $pages 0 $n-1]"
			set pages [lrange $pages $n end]
		}
		if {$pages ne ""} { puts "   |   is the spte of $pages itself" }
	}
	proc next {{reason breakpoint}} {
		set stop [dbg::c]
		if {[dict get $stop reason] ne $reason} { error "no $reason: [dbg::why]; try it by hand" }
		return $stop
	}
	# The guest's next touch: inside its fault where faults of addresses can be caught, else before its instruction.
	proc touch {} {
		variable how
		set stop [next $how]
		if {$how eq "fault-stage"} {
			puts [format "   | in fault %d, stage %s, %d mapped so far: %s" [dict get $stop fault] [dict get $stop stage] \
				[llength [pages]] [pages]]
		}
		return $stop
	}

	step {The first touch, stopped inside its fault.}
	dbg::break touch
	dbg::run
	variable how fault-stage
	if {[catch {dbg::catch fault 0x400000 0x410fff} why]} {
		set how breakpoint
		cannot "each fault of 0x400000 to 0x410fff" [regsub {^[^:]*: (.*); try .*} $why {\1}].
		dbg::catch fault 0x40
	}
	set stop [dbg::c]
	expect "stands inside a fault" [dict get $stop reason] fault-stage
	expect "  at stage" [dict get $stop stage] in {walk slot page}
	expect "the instruction that faulted" [hex [dict get $stop rip]] [hex [dbg::p touch]]
	expect "the reverse map" [kind] empty
	chain
	note {The walk is under way and no spte is set: nobody maps the page.}

	step {0 to 1: on from stage to stage, until the guest stands before its second touch.}
	set fault [dict get $stop fault]
	set live [dict get $stop stage]
	set early 0
	while {[dict get [set stop [dbg::fault step]] reason] eq "fault-stage"} {
		lappend live [dict get $stop stage]
		incr early [expr {[dict get $stop stage] ne "rmap" && [kind] ne "empty"}]
	}
	dbg::delete [expr {$how eq "fault-stage" ? 1 : 2}]
	expect "stages that stood still" $live has [lindex $live 0]
	expect "  before `rmap`, with an entry in the map" $early 0
	set names [lmap s [dbg::fault show $fault] { dict get $s stage }]
	if {"spte" in $names} {
		expect "all that are known" [lsort -unique $names] has page
	} else {
		cannot "the stages that set the spte" "Without tracepoints only the stages that stood still are known."
	}
	expect "the reverse map" [kind] one
	expect "mapped at" [pages] 400
	expect "bit 0 of the head" [expr {[dict get [rmap] head] & 1}] 0
	expect "head is the spte's own address" [hex [dict get [rmap] head]] [hex [field [rmap] sptes 0 sptep]]
	chain

	step {1 to many, fault by fault: a descriptor is made for two.}
	if {$how eq "fault-stage"} {
		expect "the second touch is inside its fault" [dict get [touch] reason] fault-stage
		expect "the reverse map, as yet" [kind] one
	}
	touch
	expect "the reverse map" [kind] many
	expect "bit 0 of the head" [expr {[dict get [rmap] head] & 1}] 1
	expect "used" [used] 2
	chain

	step {many to many: until one descriptor is full, and one more.}
	set counts {}
	set capacity 0
	while {[llength [used]] == 1} {
		lappend counts [llength [pages]]
		set capacity [used]
		touch
	}
	expect "sptes before each touch" "[lindex $counts 0] to [lindex $counts end]" "2 to $capacity"
	expect "a descriptor holds" $capacity in {3 4 14 15}
	expect "and with one more" [lsort -integer [used]] [list 1 $capacity]
	chain
	note [expr {[lindex [used] 0] == 1 ? {The new descriptor stands in front: the head now names it.}
		: {The new descriptor stands behind: the full one's `more` names it.}}]

	step {All 17.}
	dbg::delete
	dbg::break mapped
	next
	expect "sptes" [llength [pages]] 17
	expect "each gva once" [lsort [pages]] [lmap n {0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16} { format %x [expr {0x400 + $n}] }]
	expect "frames that they name" \
		[llength [lsort -unique [lmap s [dict get [rmap] sptes] { expr {[dict get $s spte] >> 12 & 0xffffffffff} }]]] 1
	expect "longest chain of slot 0, by info rmaps" [field [dbg::info rmaps] 0 longest] 17
	chain

	step {many to many downwards: the guest unmaps 0x400000 first.}
	dbg::break unmap
	next
	next
	expect "sptes" [llength [pages]] 16
	expect "400 is gone" [pages] lacks 400
	expect "in its place, before 401" [lindex [pages] [lsearch [pages] 401]-1] in {402 403 40d 40e 410}
	chain
	note {No hole stays: a last entry moved into it.}

	step {Down to the last one.}
	set counts {}
	while {[llength [pages]] > 1} {
		lappend counts [llength [pages]]
		next
	}
	expect "sptes before each" "[lindex $counts 0] down to [lindex $counts end]" "16 down to 2"
	expect "steps of one" [llength $counts] 15
	expect "the last one is" [pages] 410
	expect "the reverse map" [kind] many
	chain
	note {Many, with one entry: nobody turns a descriptor back into a single pointer.}

	step {And to nothing.}
	dbg::delete
	dbg::break unmapped
	next
	expect "the reverse map" [kind] empty
	expect "head" [hex [dict get [rmap] head]] 0x0
	expect "descriptors" [dict get [rmap] descriptors] {}
	dbg::delete
	expect "the guest ends" [dict get [dbg::c] reason] hlt
}
