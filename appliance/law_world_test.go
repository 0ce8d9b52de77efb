package appliance_test

import (
	"cmp"
	"context"
	"log/slog"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"deskbridge/appliance"
	"deskbridge/bridge"
	"deskbridge/ivr"
	"deskbridge/media"
	"deskbridge/policy"
	"deskbridge/simulator"
	"deskbridge/store"
)

const (
	waba    = "900100200300400"
	pnid2   = "700800900100201"
	number2 = "15550100201"
	ask     = "ask_to_call" // the approved templates of every office
	button  = "call_us"
	berlin  = "Europe/Berlin"
)

// monday is when the clock of every office stands at first: a Monday morning of the winter, 10:00 in Berlin.
var monday = time.Date(2027, 1, 11, 9, 0, 0, 0, time.UTC)

// office is a world whose clock, Meta's too, can be moved, with templates at Meta and what a test asks for.
type office struct {
	*world
	log string
}

type officeOptions struct {
	settings func(*appliance.Settings)
	meta     func(*simulator.MetaConfig)
	phone    simulator.PhoneAnswer
}

func newOffice(t *testing.T, o officeOptions) *office {
	t.Helper()
	w := &office{world: &world{t: t}, log: filepath.Join(t.TempDir(), "log")}
	mc := simulator.MetaConfig{
		VerifyToken: "verify", Timing: simulator.DefaultTiming().Fast(),
		Numbers: []simulator.Number{
			{PhoneNumberID: pnid, WABA: waba, DisplayNumber: number, AppID: "1", AppSecret: "app-secret", Token: "token"},
			{PhoneNumberID: pnid2, WABA: waba, DisplayNumber: number2, AppID: "1", AppSecret: "app-secret", Token: "token"},
		},
		Templates: []simulator.Template{
			simulator.PermissionTemplate(ask, "en", "May we call you about {{1}}?"), simulator.CallButtonTemplate(button, "en", "Call us about {{1}}.", "Call"),
		},
	}
	mc.Timing.Pickup = 20 * time.Millisecond
	if o.meta != nil {
		o.meta(&mc)
	}
	var err error
	w.meta, err = simulator.NewMeta(mc)
	w.must(err)
	w.meta.Clock().Set(monday)
	w.meta.Start()
	t.Cleanup(func() { _ = w.meta.Close() })
	w.cfg = appliance.DefaultConfig()
	w.cfg.DataDir = filepath.Join(t.TempDir(), "data")
	w.cfg.Graph.BaseURL = w.meta.URL()
	w.cfg.SIP.UDP, w.cfg.SIP.TCP = "127.0.0.1:0", "127.0.0.1:0"
	w.cfg.Webhook.Listen, w.cfg.Admin.Listen, w.cfg.Metrics.Listen = "127.0.0.1:0", "127.0.0.1:0", "127.0.0.1:0"
	w.cfg.DrainLimit = time.Second
	w.open()
	t.Cleanup(w.stop)
	w.change(o.settings)
	w.must(w.meta.Subscribe(t.Context()))
	w.phone = w.newPhone("1001", o.phone)
	return w
}

// open starts the appliance by the office's clock.
func (w *office) open() {
	w.t.Helper()
	log, err := os.OpenFile(w.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	w.must(err)
	w.t.Cleanup(func() {
		_ = log.Close()
		if text, err := os.ReadFile(w.log); err == nil && w.t.Failed() {
			w.t.Logf("log:\n%s", text)
			for _, r := range w.meta.Requests() {
				w.t.Logf("Meta was asked for %s: %d %d", r.Kind, r.Status, r.Code)
			}
		}
	})
	w.app, err = appliance.New(w.cfg, appliance.Options{Version: "test", Now: w.meta.Clock().Now,
		Logger: slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug}))})
	w.must(err)
	w.must(w.app.Start(w.t.Context()))
	w.meta.SetWebhookURL("http://" + w.app.WebhookAddr() + "/webhook/meta")
}

// settings are those of an office: phones 1001 and 1002, the line main, and the line second that only some tests use.
func (w *office) settings() *appliance.Settings {
	s := w.world.settings()
	main := &s.Lines[0]
	main.WABAID = waba
	main.Inbound.Menu = true
	main.Messages = appliance.MessageSettings{
		AskTemplate:    appliance.TemplateSettings{Name: ask, Language: "en", Parameters: []string{"your order"}},
		ButtonTemplate: appliance.TemplateSettings{Name: button, Language: "en", Parameters: []string{"your order"}},
	}
	second := *main
	second.ID, second.PhoneNumberID, second.DisplayNumber, second.Outbound.Prefix = "second", pnid2, "+"+number2, "9"
	s.Lines = append(s.Lines, second)
	s.Phones[0].Lines = []string{"second"}
	other := s.Phones[0]
	other.Extension = "1002"
	s.Phones = append(s.Phones, other)
	return s
}

// change puts the office's settings in force as edit leaves them.
func (w *office) change(edit func(*appliance.Settings)) {
	w.t.Helper()
	s := w.settings()
	if edit != nil {
		edit(s)
	}
	w.must(w.app.ApplySettings(w.t.Context(), s))
}

func (w *office) newPhone(ext string, answer simulator.PhoneAnswer) *simulator.Phone {
	w.t.Helper()
	p, err := simulator.NewPhone(simulator.PhoneConfig{
		User: ext, Password: "phone-password", Registrar: w.app.SIPAddr().String(), Codecs: []media.Codec{media.PCMA},
		Source: simulator.PhoneSource{Tone: 1000}, Answer: answer,
	})
	w.must(err)
	w.t.Cleanup(func() { _ = p.Close() })
	ctx, cancel := context.WithTimeout(w.t.Context(), waiting)
	defer cancel()
	w.must(p.Register(ctx))
	return p
}

// erika is a customer who has not allowed calls and whose message window is closed.
func (w *office) erika(edit ...func(*simulator.CustomerConfig)) *simulator.Customer {
	w.t.Helper()
	c := simulator.CustomerConfig{Phone: "4915112345678", Name: "Erika", Permission: simulator.PermissionNone, WindowClosed: true}
	for _, e := range edit {
		e(&c)
	}
	return w.customer(c)
}

// granted lets the line main call the customer.
func granted(c *simulator.CustomerConfig) { c.Permission = simulator.PermissionPermanent }

// writes lets the customer write, and waits until the appliance knows.
func (w *office) writes(c *simulator.Customer) {
	w.t.Helper()
	w.must(c.SendText(pnid, "hello"))
	w.until("the message window to be open", func() bool { return !w.explain(c, "").Window.IsZero() })
}

// explain is what an operator would be told about a customer and the line main.
func (w *office) explain(c *simulator.Customer, a policy.Action) appliance.Explanation {
	w.t.Helper()
	e, err := w.app.Explain(w.t.Context(), appliance.ExplainQuery{Line: "main", Customer: "+" + c.Config().Phone, Action: a, Live: true})
	w.must(err)
	return e
}

// standing waits until the appliance knows this of the customer's permission.
func (w *office) standing(c *simulator.Customer, want policy.Standing) appliance.Explanation {
	w.t.Helper()
	var e appliance.Explanation
	w.until("the permission to be "+string(want), func() bool { e = w.explain(c, ""); return e.Permission.Standing == want })
	return e
}

// asks are the permission requests that Meta took, free-form or by template.
func (w *office) asks() []simulator.Request {
	return slices.DeleteFunc(w.meta.Requests("messages"), func(r simulator.Request) bool { return !r.AsksPermission || !r.OK() })
}

func (w *office) connects() int { return len(w.meta.Requests("connect")) }

// request is the newest permission request on the customer's phone.
func (w *office) request(c *simulator.Customer) string {
	w.t.Helper()
	var id string
	w.until("a permission request on the customer's phone", func() bool {
		for _, m := range c.Messages() {
			if m.AsksPermission {
				id = m.ID
			}
		}
		return id != ""
	})
	return id
}

// answered dials and waits until somebody, or a menu, answers.
func (w *office) answered(target string) *simulator.PhoneCall {
	w.t.Helper()
	call := w.dial(target)
	ctx, cancel := context.WithTimeout(w.t.Context(), waiting)
	defer cancel()
	w.must(call.WaitAnswer(ctx))
	return call
}

// press dials, presses a key of the menu that answers, and waits until the menu has ended the call.
func (w *office) press(target, key string) {
	w.t.Helper()
	call := w.answered(target)
	w.key(call, key)
	w.over(call)
}

// key presses a key as soon as a voice is heard.
func (w *office) key(call *simulator.PhoneCall, key string) {
	w.t.Helper()
	w.until("a voice at the phone", func() bool { pcm, rate := call.Heard(); return len(pcm) > rate/4 && media.Level(pcm) > -40 })
	w.must(call.SendDigits(key))
}

func (w *office) over(call *simulator.PhoneCall) {
	w.t.Helper()
	select {
	case <-call.Done():
	case <-time.After(waiting):
		w.t.Fatal("the phone's call did not end")
	}
}

// rung waits until the phone rings.
func (w *office) rung(p *simulator.Phone) *simulator.PhoneCall {
	w.t.Helper()
	select {
	case c := <-p.Calls():
		return c
	case <-time.After(waiting):
		w.t.Fatal("the phone was not rung")
	}
	return nil
}

// notRung fails when the phone rings within the time in which it does when it may.
func (w *office) notRung(p *simulator.Phone) {
	w.t.Helper()
	select {
	case c := <-p.Calls():
		w.t.Fatalf("the phone was rung: %s", c.Header("From"))
	case <-time.After(500 * time.Millisecond):
	}
}

// reaches waits for the customer's end of a call.
func (w *office) reaches(c *simulator.Customer) *simulator.CustomerCall {
	w.t.Helper()
	select {
	case call := <-c.Calls():
		return call
	case <-time.After(waiting):
		w.t.Fatal("the customer was not called")
	}
	return nil
}

// hears waits until the phone has heard these words in the last seconds.
func (w *office) hears(call *simulator.PhoneCall, lang string, parts ...ivr.Part) {
	w.t.Helper()
	w.heard(lang, parts, func() ([]int16, int) { return call.Heard() })
}

// customerHears waits until the customer has.
func (w *office) customerHears(call *simulator.CustomerCall, lang string, parts ...ivr.Part) {
	w.t.Helper()
	w.heard(lang, parts, func() ([]int16, int) {
		pcm, err := call.Heard(16000)
		if err != nil {
			return nil, 0
		}
		return pcm, 16000
	})
}

func (w *office) heard(lang string, parts []ivr.Part, now func() ([]int16, int)) {
	w.t.Helper()
	pieces := inPieces(slow(w.t, w.words(lang, parts...), ivr.Rate))
	best := 0.0
	tick := time.NewTicker(250 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(waiting); ; <-tick.C {
		pcm, rate := now()
		if rate > 0 {
			recent := slow(w.t, pcm[max(0, len(pcm)-8*rate):], rate)
			if best = max(best, likeness(recent, pieces)); best > 0.85 {
				return
			}
		}
		if time.Now().After(end) {
			w.t.Fatalf("%v were not heard, the likeness is %.2f at best", parts, best)
		}
	}
}

// words are what the voice says, as the prompts have it.
func (w *office) words(lang string, parts ...ivr.Part) []int16 {
	w.t.Helper()
	library, err := ivr.NewLibrary(nil, slog.New(slog.DiscardHandler))
	w.must(err)
	return library.Say(w.t.Context(), lang, parts...)
}

// slow brings audio to 4 kHz: enough to know words by, and a quarter of the work.
func slow(t *testing.T, pcm []int16, rate int) []float64 {
	t.Helper()
	if rate != 8000 {
		var err error
		if pcm, err = media.Resample(pcm, rate, 8000); err != nil {
			t.Fatal(err)
		}
	}
	out := make([]float64, len(pcm)/2)
	for i := range out {
		out[i] = float64(pcm[2*i]) + float64(pcm[2*i+1])
	}
	return out
}

// pieceLength is 0.3 s. Speech is compared in pieces, because a line that was late moves what follows.
const pieceLength = 1200

type piece struct {
	at  int
	pcm []float64
}

// inPieces are the pieces of speech that are not a pause, the loudest first.
func inPieces(words []float64) []piece {
	var out []piece
	for at := 0; at+pieceLength <= len(words); at += pieceLength {
		out = append(out, piece{at, words[at : at+pieceLength]})
	}
	slices.SortFunc(out, func(a, b piece) int { return cmp.Compare(power(b.pcm), power(a.pcm)) })
	for i, p := range out {
		if power(p.pcm) < power(out[0].pcm)/50 {
			return out[:i]
		}
	}
	return out
}

func power(x []float64) (sum float64) {
	for _, v := range x {
		sum += v * v
	}
	return sum
}

// likeness is the mean of the pieces' best correlations, 0 to 1: the loudest piece anywhere in what was heard, the others at
// their distance from it, give or take a quarter of a second.
func likeness(heard []float64, pieces []piece) float64 {
	const play = 1000
	sum, at := best(heard, pieces[0].pcm, 0, len(heard))
	for _, p := range pieces[1:] {
		want := at + p.at - pieces[0].at
		like, _ := best(heard, p.pcm, want-play, want+play)
		sum += like
	}
	return sum / float64(len(pieces))
}

// best finds words in what was heard between two places.
func best(heard, words []float64, from, to int) (like float64, place int) {
	want := power(words)
	for at := max(from, 0); at < to && at+len(words) <= len(heard); at++ {
		part := heard[at : at+len(words)]
		var sum, have float64
		for i, v := range words {
			sum += v * part[i]
			have += part[i] * part[i]
		}
		if have > 0 && sum/math.Sqrt(want*have) > like {
			like, place = sum/math.Sqrt(want*have), at
		}
	}
	return like, place
}

// customerID is our ID of a customer.
func (w *office) customerID(c *simulator.Customer) string {
	w.t.Helper()
	cust, err := w.app.Store().ByPhone(w.t.Context(), c.Config().Phone)
	w.must(err)
	return cust.ID
}

// callbacks are all requests to be called back, newest first.
func (w *office) callbacks() []store.Callback {
	w.t.Helper()
	page, err := w.app.Store().Callbacks(w.t.Context(), store.CallbackQuery{Span: store.Span{Limit: 50}})
	w.must(err)
	return page.Items
}

// strictly makes refusals short: the phone is told by SIP, no voice.
func strictly(edit ...func(*appliance.Settings)) func(*appliance.Settings) {
	return func(s *appliance.Settings) {
		for i := range s.Phones {
			s.Phones[i].Refusal = "reject"
		}
		for _, e := range edit {
			e(s)
		}
	}
}

// call dials a customer; who answers is hung up on at once. It returns the record.
func (w *office) call(c *simulator.Customer, prefix string) bridge.CDR {
	w.t.Helper()
	desk := w.dial(prefix + "+" + c.Config().Phone)
	select {
	case <-c.Calls():
		select {
		case <-desk.Answered():
			w.must(desk.Hangup(w.t.Context()))
		case <-desk.Done():
		case <-time.After(waiting):
			w.t.Fatal("the customer did nothing about the call")
		}
	case <-desk.Done():
	case <-time.After(waiting):
		w.t.Fatal("the call came to nothing")
	}
	w.over(desk)
	return w.lastRecord()
}

// allowed fails unless a call is placed.
func (w *office) allowed(c *simulator.Customer) bridge.CDR {
	w.t.Helper()
	before := w.connects()
	cdr := w.call(c, "")
	if w.connects() != before+1 || cdr.Cause.Reason == bridge.ReasonRefused {
		w.t.Fatalf("no call was placed: %+v", cdr.Cause)
	}
	return cdr
}

// refused fails unless a call is refused by this rule, to the phone too, and Meta hears nothing of it.
func (w *office) refused(c *simulator.Customer, rule string) {
	w.t.Helper()
	before := w.connects()
	cdr := w.call(c, "")
	if w.connects() != before || cdr.Cause.Reason != bridge.ReasonRefused || cdr.Cause.Rule != rule {
		w.t.Fatalf("want a refusal by %s, %d calls were placed: %+v", rule, w.connects()-before, cdr.Cause)
	}
}

// ask dials the code that asks the customer, and reports whether a request was sent.
func (w *office) ask(c *simulator.Customer, prefix string) bool {
	w.t.Helper()
	before := w.actions()
	call := w.answered("*40" + prefix + c.Config().Phone)
	w.until("the request to be sent, or not", func() bool { return w.actions() != before })
	w.must(call.Hangup(w.t.Context()))
	w.over(call)
	after := w.actions()
	if after[2] != before[2] {
		w.t.Fatal("the request failed")
	}
	return after[0] != before[0]
}

// actions counts what menus did: done, refused, failed.
func (w *office) actions() (n [3]string) {
	w.t.Helper()
	_, text := w.get(w.app.MetricsAddr(), "/metrics")
	for i, outcome := range []string{"done", "refused", "failed"} {
		_, rest, _ := strings.Cut(text, `deskbridge_menu_actions_total{outcome="`+outcome+`"} `)
		n[i], _, _ = strings.Cut(rest, "\n")
	}
	return n
}

// asked fails unless a request was sent, and returns its ID at Meta.
func (w *office) asked(c *simulator.Customer) string {
	w.t.Helper()
	before := len(w.asks())
	if !w.ask(c, "") || len(w.asks()) != before+1 {
		w.t.Fatalf("%d requests were sent, want 1: %s", len(w.asks())-before, w.explain(c, policy.ActionAsk).Decision.Rule)
	}
	id := w.request(c)
	w.until("the request to be known as delivered", func() bool {
		for _, e := range w.explain(c, "").History {
			if e.Kind == policy.EventRequestReceived && e.Wamid == id {
				return true
			}
		}
		return false
	})
	return id
}

// mayNotAsk fails unless no request can be sent now, and one can from next on, to the second.
func (w *office) mayNotAsk(c *simulator.Customer, next time.Time) {
	w.t.Helper()
	before := len(w.asks())
	if w.ask(c, "") || len(w.asks()) != before {
		w.t.Fatal("a request was sent")
	}
	d := w.explain(c, policy.ActionAsk).Decision
	if d.Rule != policy.RuleRequests || d.NextAllowed.Sub(next).Abs() > time.Second {
		w.t.Fatalf("%s until %s, want until %s", d.Rule, d.NextAllowed, next)
	}
	w.boundary(c, policy.ActionAsk, policy.RuleRequests, d.NextAllowed)
}

// boundary moves the clock to just before an instant and checks that the rule denies until it and no longer.
func (w *office) boundary(c *simulator.Customer, a policy.Action, rule string, at time.Time) {
	w.t.Helper()
	w.meta.Clock().Set(at.Add(-20 * time.Second))
	for _, x := range []struct {
		at   time.Time
		want string
	}{{at.Add(-1), rule}, {at, policy.RuleAllowed}} {
		e, err := w.app.Explain(w.t.Context(), appliance.ExplainQuery{Line: "main", Customer: "+" + c.Config().Phone, Action: a, At: x.at, Live: true})
		w.must(err)
		if e.Decision.Rule != x.want {
			w.t.Fatalf("%s at %s: %s, want %s", a, x.at, e.Decision.Rule, x.want)
		}
	}
	w.meta.Clock().Set(at)
}

// lastAsk is when the newest request was counted.
func (w *office) lastAsk(c *simulator.Customer) time.Time {
	w.t.Helper()
	var at time.Time
	for _, e := range w.explain(c, "").History {
		if e.Kind == policy.EventRequested {
			at = e.At
		}
	}
	return at
}

// firstAttempt is when the first call of the last day was counted.
func (w *office) firstAttempt(c *simulator.Customer) time.Time {
	w.t.Helper()
	for _, e := range w.explain(c, "").History {
		if e.Kind == policy.EventAttempted && w.meta.Clock().Now().Sub(e.At) < policy.Day {
			return e.At
		}
	}
	w.t.Fatal("no attempt in the ledger")
	return time.Time{}
}
