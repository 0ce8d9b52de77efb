package ivr

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path"
	"slices"
	"strings"
	"sync"
	"time"

	"deskbridge/bridge"
	"deskbridge/media"
)

// cacheSamples bounds the decoded prompts and spoken names kept ready: 16 MiB, four minutes. Beyond it the cache starts anew.
const cacheSamples = 8 << 20

// maxSpeech bounds what one Say returns.
const maxSpeech = 3 * time.Minute

// Library holds every prompt of every language, built in or uploaded, and puts speech together. Methods are safe for
// concurrent use; they may take some milliseconds, and up to 2 s when a name has to be spoken by machine.
type Library struct {
	synth Synthesizer
	log   *slog.Logger
	texts map[string][]Text
	pause map[string]map[string]time.Duration // language, id

	mu       sync.Mutex
	uploads  map[string]upload // "en/why.none", "names/<customer id>"
	versions uint64
	cache    map[string][]int16
	cached   int // samples in it
}

// NewLibrary makes a library of the built-in prompts. synth may be nil: names without a recording are then said as numbers.
func NewLibrary(synth Synthesizer, log *slog.Logger) (*Library, error) {
	l := &Library{
		synth: synth, log: log, texts: map[string][]Text{}, pause: map[string]map[string]time.Duration{},
		uploads: map[string]upload{}, cache: map[string][]int16{},
	}
	for _, lang := range Languages {
		texts, err := readTexts(promptFiles, lang)
		if err != nil {
			return nil, fmt.Errorf("new prompt library: %w", err)
		}
		l.texts[lang], l.pause[lang] = texts, map[string]time.Duration{}
		for _, t := range texts {
			l.pause[lang][t.ID] = pauseAfter(t.Text)
		}
	}
	return l, nil
}

// Texts lists the prompts of a language in the order of their list; nil for a language there is none of.
func (l *Library) Texts(lang string) []Text { return slices.Clone(l.texts[lang]) }

// Say puts parts together as mono PCM at Rate, in this language (an unknown one is English). A prompt that is missing or
// broken is left out and logged: better a sentence with a hole than silence. ctx bounds only the speaking of names.
func (l *Library) Say(ctx context.Context, lang string, parts ...Part) []int16 {
	if _, ok := grammars[lang]; !ok {
		lang = Languages[0]
	}
	s := speaker{l: l, lang: lang}
	for _, p := range parts {
		if p.kind == partName {
			s.name(ctx, p.who)
			continue
		}
		s.words(grammars[lang].words(p))
	}
	return s.pcm
}

// speaker is one Say under way.
type speaker struct {
	l     *Library
	lang  string
	pcm   []int16
	quiet int // samples of pause at the end of pcm
}

func (s *speaker) words(words []word) {
	for _, w := range words {
		pause := w.pause
		if w.id != "" {
			pcm, err := s.l.prompt(s.lang, w.id)
			if err != nil {
				s.l.log.Error("a prompt cannot be said", "prompt", s.lang+"/"+w.id, "err", err)
				continue
			}
			s.add(pcm)
			if pause == own {
				pause = s.l.pause[s.lang][w.id]
			}
		}
		s.rest(pause)
	}
}

func (s *speaker) add(pcm []int16) {
	if room := int(maxSpeech/time.Second)*Rate - len(s.pcm); len(pcm) > room {
		pcm = pcm[:max(room, 0)]
	}
	s.pcm, s.quiet = append(s.pcm, pcm...), 0
}

// rest makes sure that this much pause follows what was said; a Stop after a full stop adds nothing.
func (s *speaker) rest(d time.Duration) {
	n := int(int64(d) * Rate / int64(time.Second))
	if n > s.quiet {
		s.pcm, s.quiet = append(s.pcm, make([]int16, n-s.quiet)...), n
	}
}

func (s *speaker) name(ctx context.Context, c bridge.Customer) {
	if pcm, ok := s.l.recorded(c.ID); ok {
		s.add(pcm)
		s.rest(pauseWord)
		return
	}
	if pcm, err := s.l.spoken(ctx, s.lang, c.Name); err == nil {
		s.add(pcm)
		s.rest(pauseWord)
		return
	} else if !errors.Is(err, ErrUnspeakable) && !errors.Is(err, context.Canceled) {
		s.l.log.Warn("a customer's name could not be spoken; the number is said instead", "err", err)
	}
	if number := c.Dialable(); number != "" {
		s.words(phone(number))
		return
	}
	s.words([]word{{"customer", own}})
}

// prompt is the upload in a prompt's place, or the built-in one.
func (l *Library) prompt(lang, id string) ([]int16, error) {
	key := lang + "/" + id
	return l.keep(key, func() ([]int16, error) {
		if u, ok := l.upload(key); ok {
			if pcm, err := decodeAudio(u.audio); err == nil {
				return pcm, nil
			}
		}
		file, err := promptFiles.ReadFile(path.Join("prompts", lang, id+".opus"))
		if err != nil {
			return nil, err
		}
		return media.ReadOggOpus(file, Rate, MaxUploadLength)
	})
}

func (l *Library) recorded(customer string) ([]int16, bool) {
	key := "names/" + customer
	u, ok := l.upload(key)
	if !ok {
		return nil, false
	}
	pcm, err := l.keep(key, func() ([]int16, error) { return decodeAudio(u.audio) })
	return pcm, err == nil
}

func (l *Library) spoken(ctx context.Context, lang, name string) ([]int16, error) {
	text, ok := speakable(name)
	if l.synth == nil || !ok {
		return nil, ErrUnspeakable
	}
	return l.keep("spoken/"+lang+"/"+strings.ToLower(text), func() ([]int16, error) { return l.synth.Speak(ctx, lang, text) })
}

// keep returns what is cached under key, or makes it. Two may make the same at once; nobody waits with the lock held.
func (l *Library) keep(key string, make func() ([]int16, error)) ([]int16, error) {
	l.mu.Lock()
	pcm, ok := l.cache[key]
	before := l.uploads[key]
	l.mu.Unlock()
	if ok {
		return pcm, nil
	}
	pcm, err := make()
	if err != nil {
		return nil, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.uploads[key].version != before.version { // replaced meanwhile
		return pcm, nil
	}
	if l.cached+len(pcm) > cacheSamples {
		clear(l.cache)
		l.cached = 0
	}
	if len(pcm) <= cacheSamples {
		l.cached += len(pcm) - len(l.cache[key])
		l.cache[key] = pcm
	}
	return pcm, nil
}
