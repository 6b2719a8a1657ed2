# What the stories in scripts/ share: steps that are numbered, values that are read live, shown and asserted, and what this
# host cannot show, said and counted. A value that is not what it has to be ends the script with an error that says where.
#
#   story::begin TITLE TEXT      what the story is about; ends in `story::end`, which prints the counts
#   step TEXT                    what is done now; each must be followed by at least one `expect` or `cannot`
#   expect LABEL VALUE ?OP? WANT a value as it was read, and what it has to be; OP is == (default), !=, <, >, in, has, lacks
#   refuse LABEL PATTERN LINE    a command that must fail, with words that match
#   draw COMMAND …               what a command shows a person
#   note TEXT                    what it means
#   cannot LABEL WHY             this host cannot show it
#   shadowed LABEL BODY          the body, where the host has shadow tables and can read them

namespace eval story {
	namespace export step expect refuse draw note cannot hex field leaf blind shadowed
	variable steps 0 asserted 0 impossible 0 open 0

	proc begin {title text} {
		variable steps 0 asserted 0 impossible 0 open 0
		puts "$title, on the [dict get [dbg::vm] backend] backend"
		say "" $text
	}

	# Text wrapped at 100 columns, behind the prefix and then under itself.
	proc say {prefix text} {
		set line $prefix
		foreach word [split [string trim [regsub -all {\s+} $text " "]]] {
			if {[string length $line] + [string length $word] > 99 && [string trim $line] ne ""} {
				puts [string trimright $line]
				set line [string repeat " " [string length $prefix]]
			}
			append line $word " "
		}
		puts [string trimright $line]
	}

	# A step without an assertion proves nothing: that is a mistake in the story.
	proc closed {} {
		variable steps
		variable open
		if {$open} { error "step $steps: it asserts nothing; try an expect behind it" }
	}

	proc step {text} {
		variable steps
		variable open
		closed
		incr steps
		set open 1
		puts ""
		say "$steps. " $text
	}

	proc holds {value op want} {
		switch -- $op {
			in { return [expr {$value in $want}] }
			has { return [expr {$want in $value}] }
			lacks { return [expr {$want ni $value}] }
			default { return [expr "\$value $op \$want"] }
		}
	}

	proc expect {label value args} {
		variable steps
		variable asserted
		variable open 0
		lassign [expr {[llength $args] == 1 ? [list == {*}$args] : $args}] op want
		if {![holds $value $op $want]} {
			error "step $steps, $label: it is \"$value\", which is not $op \"$want\"; try the step by hand"
		}
		incr asserted
		if {$value eq ""} { set value none }
		puts [format "   %-50s %s" $label $value]
	}

	proc refuse {label pattern line} {
		variable steps
		if {![catch {uplevel #0 dbg::$line} text]} { error "step $steps, $label: it was not refused; try the step by hand" }
		if {![string match $pattern $text]} { error "step $steps, $label: refused with \"$text\"; try the step by hand" }
		expect $label refused == refused
		say "      " [regsub {; try .*} $text ""]
	}

	proc draw {args} {
		foreach line [split [dbg::draw {*}$args] \n] { puts "   | $line" }
	}

	proc note {text} { say "   = " $text }

	proc cannot {label why} {
		variable impossible
		variable open 0
		incr impossible
		puts [format "   %-50s %s" $label "not possible here"]
		say "      " $why
	}

	proc end {} {
		variable steps
		variable asserted
		variable impossible
		closed
		puts "\n$steps steps, $asserted asserted, $impossible not possible here"
	}

	proc hex {n} { format 0x%llx $n }

	# A value deep in dicts and lists: `field $xlate io 0 kind`.
	proc field {value args} {
		foreach key $args {
			set value [expr {[string is integer -strict $key] ? [lindex $value $key] : [dict get $value $key]}]
		}
		return $value
	}

	# The present level-1 spte of an address as a dict, or nothing.
	proc leaf {gva} {
		foreach s [dbg::info sptes $gva $gva] {
			if {[dict get $s level] == 1 && [dict get $s present]} { return $s }
		}
	}

	# In how many address spaces of KVM a slot stands that is seen inside and outside of SMM: each is changed by a call of its
	# own.
	proc spaces {} {
		foreach fact [dbg::info kvm] {
			if {[dict get $fact what] eq "address spaces"} { return [expr {[dict get $fact value] > 1 ? 2 : 1}] }
		}
		return 1
	}

	# Why this host does not show what it has by guest virtual address (shadow pages, sptes, reverse maps, the MMIO cache);
	# nothing where it does.
	proc blind {} {
		if {[dict get [dbg::vm] backend] eq "soft"} { return }
		foreach fact [dbg::info kvm] { dict set facts [dict get $fact what] $fact }
		set reader [dict get $facts "shadow pages"]
		if {[dict get $reader value] ne "yes"} { return "[dict get $reader why]." }
		if {[dict get $facts paging value] eq "shadow"} { return }
		return "This host translates by EPT or NPT and keeps no shadow tables (info tdp); with npt=0 or ept=0 it does, and\
			so does -b soft."
	}

	# The body where that can be seen; elsewhere one thing that is not possible.
	proc shadowed {label body} {
		if {[blind] ne ""} { return [cannot $label [blind]] }
		uplevel 1 $body
	}

	# Runs a story as a procedure in a namespace of its own: its names meet neither registers nor a user's variables.
	proc tell {name title text body} {
		begin $title $text
		namespace eval ::story::$name {namespace import -force ::story::*}
		apply [list {} $body ::story::$name]
		end
		namespace delete ::story::$name
	}
}
