# bash completion for kvmscope. Written by `make completions` out of the program's tables: do not edit.
# shellcheck shell=bash disable=SC2207

_kvmscope()
{
	local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]}
	# "demo:tour" and "--mode=long" arrive in parts, cut at the ':' and the '='.
	if [[ $prev == = ]]; then
		prev=${COMP_WORDS[COMP_CWORD - 2]}
	elif [[ $cur == = ]]; then
		cur=
	fi
	if [[ $prev == demo && $cur == : ]]; then
		cur=demo:
	elif [[ $prev == : && $COMP_CWORD -ge 3 && ${COMP_WORDS[COMP_CWORD - 2]} == demo ]]; then
		cur=demo:$cur
	fi
	case $prev in
	--backend|-b)
		COMPREPLY=($(compgen -W 'auto kvm soft' -- "$cur"))
		return
		;;
	--memory|-m)
		return
		;;
	--vcpus|-n)
		return
		;;
	--dirty-ring)
		return
		;;
	--mode)
		COMPREPLY=($(compgen -W 'real prot long user' -- "$cur"))
		return
		;;
	--at)
		return
		;;
	--entry)
		return
		;;
	--format)
		COMPREPLY=($(compgen -W 'auto flat elf multiboot' -- "$cur"))
		return
		;;
	--script|-x)
		compopt -o filenames
		COMPREPLY=($(compgen -f -- "$cur"))
		return
		;;
	--command|-c)
		COMPREPLY=($(compgen -W 'apropos awatch backtrace break catch checkpoint commands condition context continue delete diff disable disas display draw dump enable fault find finish gpa2hpa gpa2hva gva2gpa hbreak help hexdump ignore info interrupt load mem memop nexti print quit record reg report restart restore reverse-continue reverse-stepi run rwatch select set shadow shell show slot smi snap source stepi tbreak telescope tui undisplay until vcpu version vm vmmap wait walk watch why x xinfo xlate xp' -- "$cur"))
		return
		;;
	--eval-command|-ex)
		COMPREPLY=($(compgen -W 'apropos awatch backtrace break catch checkpoint commands condition context continue delete diff disable disas display draw dump enable fault find finish gpa2hpa gpa2hva gva2gpa hbreak help hexdump ignore info interrupt load mem memop nexti print quit record reg report restart restore reverse-continue reverse-stepi run rwatch select set shadow shell show slot smi snap source stepi tbreak telescope tui undisplay until vcpu version vm vmmap wait walk watch why x xinfo xlate xp' -- "$cur"))
		return
		;;
	esac
	if [[ $cur == -* ]]; then
		COMPREPLY=($(compgen -W '-b --backend --emulated-kernel --mmio-sptes -m --memory -n --vcpus --dirty-ring --mode --at --entry --format -x --script -c --command -ex --eval-command --batch --tui -j --json -q --quiet --nx -h --help -V --version' -- "$cur"))
		return
	fi
	compopt -o filenames
	COMPREPLY=($(compgen -f -- "$cur") $(compgen -W 'demo:tour demo:rmap demo:remap demo:smm demo:real demo:threads demo:nested' -- "$cur"))
	# What stands before the last ':' is on the line already.
	if [[ $cur == *:* && $COMP_WORDBREAKS == *:* ]]; then
		COMPREPLY=("${COMPREPLY[@]#"${cur%"${cur##*:}"}"}")
	fi
}

complete -F _kvmscope kvmscope
