package appliance

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"deskbridge/frontdesk"
	"deskbridge/graph"
	"deskbridge/policy"
)

func (c *Control) officeRoutes(mux *http.ServeMux) {
	if c.office == nil {
		return
	}
	mux.HandleFunc("GET /policy/explain", c.explain)
	mux.HandleFunc("GET /lines/{line}/meta", func(w http.ResponseWriter, r *http.Request) { c.lineAtMeta(w, r, false) })
	mux.HandleFunc("POST /lines/{line}/apply", func(w http.ResponseWriter, r *http.Request) { c.lineAtMeta(w, r, true) })
	mux.HandleFunc("POST /lines/{line}/adopt", func(w http.ResponseWriter, r *http.Request) {
		c.applying.Lock()
		defer c.applying.Unlock()
		changes, err := c.office.AdoptFromMeta(r.Context(), r.PathValue("line"))
		c.reply(w, changesAnswer{Changes: changes}, err)
	})
	mux.HandleFunc("POST /lines/{line}/holidays", func(w http.ResponseWriter, r *http.Request) {
		c.applying.Lock()
		defer c.applying.Unlock()
		changes, err := c.office.ImportHolidays(r.Context(), r.PathValue("line"), http.MaxBytesReader(w, r.Body, maxCalendar))
		c.reply(w, changesAnswer{Changes: changes}, err)
	})
	mux.HandleFunc("GET /lines/{line}/templates", func(w http.ResponseWriter, r *http.Request) {
		list, err := c.office.Templates(r.Context(), r.PathValue("line"))
		c.reply(w, list, err)
	})
	mux.HandleFunc("POST /lines/{line}/templates", c.createTemplate)
	mux.HandleFunc("DELETE /lines/{line}/templates/{name}", func(w http.ResponseWriter, r *http.Request) {
		c.reply(w, struct{}{}, c.office.DeleteTemplate(r.Context(), r.PathValue("line"), r.PathValue("name")))
	})
	mux.HandleFunc("GET /callbacks", func(w http.ResponseWriter, r *http.Request) {
		list, err := c.office.Callbacks(r.Context())
		c.reply(w, list, err)
	})
}

// maxCalendar bounds a calendar file.
const maxCalendar = 1 << 20

func (c *Control) createTemplate(w http.ResponseWriter, r *http.Request) {
	o := TemplateOrder{Line: r.PathValue("line")}
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxDocument)).Decode(&o.Template); err != nil {
		answer(w, http.StatusUnprocessableEntity, controlError{Code: "invalid", Message: "the template cannot be read: " + err.Error()})
		return
	}
	t, err := c.office.CreateTemplate(r.Context(), o)
	c.reply(w, t, err)
}

// reply answers with what was asked for, or with the error.
func (c *Control) reply(w http.ResponseWriter, body any, err error) {
	if err != nil {
		answer(w, http.StatusConflict, problemsOf(err))
		return
	}
	answer(w, http.StatusOK, body)
}

func (c *Control) explain(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	if call := q.Get("call"); call != "" {
		e, err := c.office.ExplainCall(r.Context(), call)
		c.reply(w, e, err)
		return
	}
	x := ExplainQuery{Line: q.Get("line"), Customer: q.Get("customer"), Action: policy.Action(q.Get("action"))}
	x.Live, _ = strconv.ParseBool(q.Get("live"))
	if at := q.Get("at"); at != "" {
		var err error
		if x.At, err = time.Parse(time.RFC3339, at); err != nil {
			answer(w, http.StatusUnprocessableEntity, controlError{Code: "invalid", Message: "at is no time: write it as 2026-11-30T09:00:00+07:00"})
			return
		}
	}
	e, err := c.office.Explain(r.Context(), x)
	c.reply(w, e, err)
}

func (c *Control) lineAtMeta(w http.ResponseWriter, r *http.Request, apply bool) {
	ctx, cancel := context.WithTimeout(r.Context(), controlApplyTimeout)
	defer cancel()
	st, err := c.office.LineAtMeta(ctx, r.PathValue("line"), apply)
	c.reply(w, st, err)
}

// Explain asks for a decision.
func (c *ControlClient) Explain(ctx context.Context, q ExplainQuery) (e Explanation, err error) {
	v := url.Values{"line": {q.Line}, "customer": {q.Customer}, "action": {string(q.Action)}, "live": {strconv.FormatBool(q.Live)}}
	if !q.At.IsZero() {
		v.Set("at", q.At.Format(time.RFC3339))
	}
	return e, c.get(ctx, "/policy/explain?"+v.Encode(), &e)
}

// ExplainCall asks for the decision that was made about a call.
func (c *ControlClient) ExplainCall(ctx context.Context, call string) (e Explanation, err error) {
	return e, c.get(ctx, "/policy/explain?"+url.Values{"call": {call}}.Encode(), &e)
}

// LineAtMeta asks how a line's settings are at Meta; with apply ours are put in force there.
func (c *ControlClient) LineAtMeta(ctx context.Context, line string, apply bool) (st frontdesk.MetaState, err error) {
	path := "/lines/" + url.PathEscape(line)
	if !apply {
		return st, c.get(ctx, path+"/meta", &st)
	}
	body, err := c.do(ctx, http.MethodPost, path+"/apply", nil)
	if err != nil {
		return st, err
	}
	return st, json.Unmarshal(body, &st)
}

// AdoptFromMeta takes over a line's settings at Meta.
func (c *ControlClient) AdoptFromMeta(ctx context.Context, line string) ([]Change, error) {
	body, err := c.do(ctx, http.MethodPost, "/lines/"+url.PathEscape(line)+"/adopt", nil)
	if err != nil {
		return nil, err
	}
	var a changesAnswer
	err = json.Unmarshal(body, &a)
	return a.Changes, err
}

// ImportHolidays puts a calendar file's events into a line's call hours.
func (c *ControlClient) ImportHolidays(ctx context.Context, line string, calendar io.Reader) ([]Change, error) {
	return c.changes(ctx, http.MethodPost, "/lines/"+url.PathEscape(line)+"/holidays", "", calendar)
}

// Templates lists the templates of a line's account.
func (c *ControlClient) Templates(ctx context.Context, line string) (list []graph.Template, err error) {
	return list, c.get(ctx, "/lines/"+url.PathEscape(line)+"/templates", &list)
}

// CreateTemplate hands a template to Meta.
func (c *ControlClient) CreateTemplate(ctx context.Context, o TemplateOrder) (t graph.Template, err error) {
	body, err := json.Marshal(o.Template)
	if err != nil {
		return t, err
	}
	if body, err = c.do(ctx, http.MethodPost, "/lines/"+url.PathEscape(o.Line)+"/templates", body); err != nil {
		return t, err
	}
	return t, json.Unmarshal(body, &t)
}

// DeleteTemplate deletes a template in every language.
func (c *ControlClient) DeleteTemplate(ctx context.Context, line, name string) error {
	_, err := c.do(ctx, http.MethodDelete, "/lines/"+url.PathEscape(line)+"/templates/"+url.PathEscape(name), nil)
	return err
}

// Callbacks lists who waits to be called back.
func (c *ControlClient) Callbacks(ctx context.Context) (list []CallbackRow, err error) {
	return list, c.get(ctx, "/callbacks", &list)
}
