package appliance

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"deskbridge/graph"
	"deskbridge/policy"
	"deskbridge/store"
)

// CallbackRow is a callback request as an operator sees it.
type CallbackRow struct {
	store.Callback
	Number string `json:"number"` // masked
	Name   string `json:"name,omitempty"`
}

// TemplateOrder is a template to create at Meta.
type TemplateOrder struct {
	Line     string             `json:"line"`
	Template graph.TemplateSpec `json:"template"`
}

// number is the line at Meta.
func (a *App) number(line string) (callLine, error) {
	if n := a.plan.plant.Load().lines[line]; n != nil {
		return n, nil
	}
	return nil, fmt.Errorf("there is no line %q", line)
}

// Templates implements Office: the templates of a line's account, read anew.
func (a *App) Templates(ctx context.Context, line string) ([]graph.Template, error) {
	list, _, err := a.desk.Templates(ctx, line, true)
	return list, err
}

// CreateTemplate implements Office.
func (a *App) CreateTemplate(ctx context.Context, o TemplateOrder) (graph.Template, error) {
	n, err := a.number(o.Line)
	if err != nil {
		return graph.Template{}, err
	}
	if err := o.Template.Validate(); err != nil {
		return graph.Template{}, err
	}
	t, err := n.CreateTemplate(ctx, o.Template)
	if err == nil {
		a.log.Info("a template was handed to WhatsApp for approval", "line", o.Line, "template", t.Name, "language", t.Language, "status", t.Status)
	}
	return t, err
}

// DeleteTemplate implements Office.
func (a *App) DeleteTemplate(ctx context.Context, line, name string) error {
	n, err := a.number(line)
	if err != nil {
		return err
	}
	return n.DeleteTemplate(ctx, name, "")
}

// Callbacks implements Office: who waits to be called back, the one due first first.
func (a *App) Callbacks(ctx context.Context) ([]CallbackRow, error) {
	page, err := a.store.Callbacks(ctx, store.CallbackQuery{Live: true, Span: store.Span{Limit: 500}})
	if err != nil {
		return nil, err
	}
	rows := make([]CallbackRow, 0, len(page.Items))
	for _, cb := range page.Items {
		row := CallbackRow{Callback: cb}
		if c, err := a.store.Customer(ctx, cb.Customer); err == nil {
			row.Number, row.Name = Number(c.Phone).Mask(), c.Name
		}
		rows = append(rows, row)
	}
	return rows, nil
}

// holidayYears is how far ahead a calendar is imported.
const holidayYears = 3

// ImportHolidays implements Office: the events of a calendar file (ICS) from today on become closed holidays of a line.
func (a *App) ImportHolidays(ctx context.Context, line string, calendar io.Reader) ([]Change, error) {
	data, err := io.ReadAll(calendar)
	if err != nil {
		return nil, err
	}
	current := a.keeper.Settings()
	next, err := current.copy()
	if err != nil {
		return nil, err
	}
	i := slices.IndexFunc(next.Lines, func(l Line) bool { return l.ID == line })
	if i < 0 {
		return nil, fmt.Errorf("there is no line %q", line)
	}
	h := &next.Lines[i].Hours
	if h.TimeZone == "" {
		return nil, errors.New("the line has no call hours: set hours.time_zone and hours.weekly first")
	}
	today := a.opt.Now()
	days, err := policy.ParseICS(data, next.Lines[i].zone(), today, today.AddDate(holidayYears, 0, 0))
	if err != nil {
		return nil, err
	}
	h.add(days)
	changes := Diff(current, next)
	if len(changes) == 0 {
		return nil, nil
	}
	return changes, a.keeper.Apply(ctx, next)
}

// add puts in dates that are not there yet: what a person wrote stays.
func (h *HoursSettings) add(days []policy.Holiday) {
	for _, d := range days {
		if !slices.ContainsFunc(h.Holidays, func(x Holiday) bool { return x.Date == d.Date }) {
			h.Holidays = append(h.Holidays, Holiday{Date: d.Date, Name: d.Name})
		}
	}
	slices.SortFunc(h.Holidays, func(a, b Holiday) int { return strings.Compare(a.Date, b.Date) })
}

// CustomerOrder is what a supervisor decides about a customer.
type CustomerOrder struct {
	Line     string    `json:"line"`     // override: the line; block: empty is every line
	Customer string    `json:"customer"` // number, alias or ID
	By       string    `json:"by"`
	Reason   string    `json:"reason"`
	Until    time.Time `json:"until,omitzero"` // override
}
