#!/bin/sh
# Speaks the built-in prompts, offline: ivr/prompts/<language>.txt → ivr/prompts/<language>/<id>.opus (Ogg Opus, mono, 16 kHz
# content, 20 kbit/s). Needs espeak-ng, sox and opus-tools (apt-get install espeak-ng sox opus-tools). The files are
# committed: run this only when a text has changed. Same tool versions, same files.
# Usage: tools/prompts.sh [id ...]     only these ids, in both languages; default: all, and files without a text go
set -eu
cd "$(dirname "$0")/../ivr/prompts"
for tool in espeak-ng sox opusenc; do
	command -v $tool >/dev/null || { echo "prompts: $tool is missing: apt-get install espeak-ng sox opus-tools" >&2; exit 1; }
done
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
tab=$(printf '\t')

voice() { case $1 in en) echo "en-us" ;; id) echo "id" ;; *) echo "prompts: no voice for language $1" >&2; exit 1 ;; esac; }

# say LANGUAGE ID TEXT: silence around the voice goes, the peak ends at -4 dBFS so that the codec has room.
say() {
	printf '%s' "$3" | espeak-ng -v "$(voice "$1")" -s 150 -p 45 --stdin -w "$work/raw.wav"
	sox -q "$work/raw.wav" -r 16000 -c 1 -b 16 "$work/say.wav" rate -v highpass 90 \
		silence 1 0.005 0.3% reverse silence 1 0.005 0.3% pad 0.01 reverse pad 0 0.02 fade 0.005 norm -4
	opusenc --quiet --bitrate 20 --speech --framesize 20 --padding 0 --discard-comments --serial 1 "$work/say.wav" "$1/$2.opus"
}

for list in *.txt; do
	lang=${list%.txt}
	mkdir -p "$lang"
	[ $# -gt 0 ] || rm -f "$lang"/*.opus
	grep -v -e '^#' -e '^$' "$list" >"$work/list"
	while IFS=$tab read -r id text; do
		[ $# -eq 0 ] || case " $* " in *" $id "*) ;; *) continue ;; esac
		say "$lang" "$id" "$text"
	done <"$work/list"
	echo "prompts: $lang: $(ls "$lang" | wc -l) files, $(cat "$lang"/*.opus | wc -c) bytes"
done
