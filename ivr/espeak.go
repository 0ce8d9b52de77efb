package ivr

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"time"
	"unicode"
)

// Synthesizer speaks a text that no recording exists of, as mono PCM at Rate.
type Synthesizer interface {
	Speak(ctx context.Context, lang, text string) ([]int16, error)
}

// ErrUnspeakable says that a text has nothing our voices can pronounce.
var ErrUnspeakable = errors.New("no text that can be spoken")

const (
	maxSpoken       = 48 // letters of a name; more is nobody's name
	maxSpokenLength = 6 * time.Second
	speakTimeout    = 2 * time.Second
	// speakAtOnce bounds the processes, and with them the memory and CPU a wave of menus may take.
	speakAtOnce = 2
)

// Espeak speaks through the program espeak-ng, where it is installed.
type Espeak struct {
	path string
	busy chan struct{}
}

var _ Synthesizer = (*Espeak)(nil)

// FindEspeak looks for the program in the PATH. Without it names are said as numbers.
func FindEspeak() (*Espeak, error) {
	path, err := exec.LookPath("espeak-ng")
	if err != nil {
		return nil, fmt.Errorf("find espeak-ng: %w", err)
	}
	return &Espeak{path: path, busy: make(chan struct{}, speakAtOnce)}, nil
}

var espeakVoices = map[string]string{"en": "en-us", "id": "id"}

// Speak implements Synthesizer. The text goes in by standard input and never near a shell or an argument.
func (e *Espeak) Speak(ctx context.Context, lang, text string) ([]int16, error) {
	text, ok := speakable(text)
	voice := espeakVoices[lang]
	if !ok || voice == "" {
		return nil, fmt.Errorf("speak a name: %w", ErrUnspeakable)
	}
	ctx, cancel := context.WithTimeout(ctx, speakTimeout)
	defer cancel()
	select {
	case e.busy <- struct{}{}:
		defer func() { <-e.busy }()
	case <-ctx.Done():
		return nil, fmt.Errorf("speak a name: %w", ctx.Err())
	}
	// 22,050 Hz is the program's own rate; one byte more tells that there was too much.
	out := &limitedBuffer{most: int(maxSpokenLength/time.Second) * 22050 * 2}
	cmd := exec.CommandContext(ctx, e.path, "-v", voice, "-s", "150", "-p", "45", "--stdin", "--stdout")
	cmd.Stdin, cmd.Stdout = strings.NewReader(text), out
	cmd.WaitDelay = time.Second
	if err := cmd.Run(); ctx.Err() != nil {
		return nil, fmt.Errorf("speak a name with %s: %w", e.path, ctx.Err())
	} else if err != nil {
		return nil, fmt.Errorf("speak a name with %s: %w", e.path, err)
	}
	if b := out.Bytes(); len(b) > 12 {
		pcm, err := decodeWAV(b[12:], maxSpokenLength)
		if err != nil {
			return nil, fmt.Errorf("speak a name with %s: %w", e.path, err)
		}
		return level(trim(pcm)), nil
	}
	return nil, fmt.Errorf("speak a name with %s: no audio came: %w", e.path, ErrAudio)
}

// speakable keeps what a Latin voice can say of a name, which is a stranger's text: letters, digits and what joins them.
// Other scripts would be spelt out as code points: not ok.
func speakable(name string) (string, bool) {
	var b strings.Builder
	letters := 0
	for _, r := range name {
		switch {
		case unicode.Is(unicode.Latin, r), unicode.Is(unicode.Mn, r):
			letters++
		case unicode.IsLetter(r):
			return "", false
		case r >= '0' && r <= '9', r == '\'', r == '-':
		default:
			r = ' '
		}
		b.WriteRune(r)
		if letters == maxSpoken {
			break
		}
	}
	return strings.Join(strings.Fields(b.String()), " "), letters > 0
}

// level brings machine speech to the level of the prompts: a peak of -4 dBFS.
func level(pcm []int16) []int16 {
	p := peak(pcm)
	if p == 0 {
		return nil
	}
	for i, v := range pcm {
		pcm[i] = int16(int(v) * 20675 / p)
	}
	return pcm
}

// limitedBuffer refuses to grow beyond most, which ends the program that writes into it.
type limitedBuffer struct {
	bytes.Buffer
	most int
}

func (l *limitedBuffer) Write(p []byte) (int, error) {
	if l.Len()+len(p) > l.most {
		return 0, fmt.Errorf("more than %d bytes of audio: %w", l.most, ErrAudio)
	}
	return l.Buffer.Write(p)
}
