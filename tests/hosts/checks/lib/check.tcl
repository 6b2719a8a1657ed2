# What the checks of tests/hosts share. A check is a script; each `test` in it prints one line, `ok NAME` or `not ok NAME: WHY`,
# and leaves nothing behind for the next.
#
#   test NAME BODY               passed when the body ends; failed when it raises an error
#   want LABEL VALUE ?OP? WANT   an error unless it holds; OP is == (default), !=, <, >, in, has, lacks, like
#   leave WHY                    ends the test as skipped: the host cannot do it, found out by what it says of itself
#   guest MODE HEX               a new VM with these bytes as its code
#   fact NAME                    a row of `info kvm` as a dict
#   tdp                          whether this host translates by TDP (EPT, NPT)
namespace eval check {
	namespace export test want leave guest fact tdp stop hex
	variable limits {}
	fconfigure stdout -buffering line

	# What the emulator cannot do, by name: lines `CHECK TEST REASON`.
	proc read_limits {} {
		variable limits
		if {![info exists ::env(KVMSCOPE_LIMITS)] || ![info exists ::env(KVMSCOPE_CHECK)]} { return }
		set f [open $::env(KVMSCOPE_LIMITS)]
		foreach line [split [read $f] \n] {
			if {[regexp {^(\S+) (\S+) (.*)$} $line -> check test reason] && [string match $check $::env(KVMSCOPE_CHECK)]} {
				lappend limits $test $reason
			}
		}
		close $f
	}

	# A name as it is in the table: one word.
	proc limited {name} {
		variable limits
		foreach {test reason} $limits {
			if {[string match $test [string map {" " _} $name]]} { return $reason }
		}
	}

	proc test {name body} {
		set why [limited $name]
		if {$why ne ""} {
			puts "skip: $why"
			puts "ok $name # SKIP"
			return
		}
		set code [catch {apply [list {} $body ::check]} text opts]
		if {$code == 0 || $code == 2} {
			puts "ok $name"
		} elseif {[dict get $opts -errorcode] eq "LEFT"} {
			puts "skip: $text"
			puts "ok $name # SKIP"
		} else {
			puts "not ok $name: [string map {\n "; "} $text]"
		}
		catch {dbg::delete}
	}

	proc leave {why} { return -code error -errorcode LEFT $why }

	proc holds {value op want} {
		switch -- $op {
			in { return [expr {$value in $want}] }
			has { return [expr {$want in $value}] }
			lacks { return [expr {$want ni $value}] }
			like { return [string match $want $value] }
			default { return [expr "\$value $op \$want"] }
		}
	}

	proc want {label value args} {
		lassign [expr {[llength $args] == 1 ? [list == {*}$args] : $args}] op want
		set want [regsub -all {\s+} $want " "] ;# a list may stand on several lines
		if {![holds $value $op $want]} {
			return -code error "$label is \"$value\", which is not $op \"$want\""
		}
	}

	proc guest {mode hex} {
		set path [file join [expr {[file isdirectory /tmp] ? "/tmp" : "."}] kvmscope-check-[pid].bin]
		set f [open $path wb]
		puts -nonewline $f [binary decode hex $hex]
		close $f
		set failed [catch {dbg::load $path --mode $mode} text]
		file delete $path
		if {$failed} { error $text }
	}

	proc fact {name} {
		foreach f [dbg::info kvm] {
			if {[dict get $f what] eq $name} { return $f }
		}
		error "info kvm has no row \"$name\""
	}

	# Asked once: it does not change, and a machine that stands in a fault is not to be asked.
	proc tdp {} {
		variable tdp
		if {![info exists tdp]} { set tdp [expr {[dict get [dbg::vm] backend] eq "kvm" && [dict get [fact paging] value] ne "shadow"}] }
		return $tdp
	}

	proc hex {n} { format 0x%llx $n }

	# A stop, which has to be for this reason.
	proc stop {label stop reason args} {
		want "$label: reason" [dict get $stop reason] $reason
		foreach {key want} $args { want "$label: $key" [hex [dict get $stop $key]] [hex $want] }
	}

	read_limits
	tdp
}
namespace import check::*
