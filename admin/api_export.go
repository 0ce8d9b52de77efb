package admin

import (
	"bufio"
	"context"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
)

const (
	exportPage = 500
	// exportStall is how long a client may take for one page of rows.
	exportStall = 30 * time.Second
)

type exportCalls struct {
	CallFilter
	Format string `query:"format" enum:"csv,xlsx,json" default:"csv"`
}

var exportTypes = map[string]string{
	"csv": "text/csv; charset=utf-8", "json": "application/json", "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
}

var exportHeader = []string{"id", "group", "direction", "line", "customer", "number", "agent", "agent name", "state", "reason", "offered at", "rang at",
	"answered at", "ended at", "ring seconds", "talk seconds"}

func (v callView) cells() []string {
	return []string{v.ID, v.Group, v.Direction, v.Line, firstOf(v.Customer.Name, v.Customer.Username), firstOf(v.Customer.Phone, v.Customer.Alias), v.Agent, v.AgentName,
		v.State, v.Reason, stamp(v.OfferedAt), stamp(v.RangAt), stamp(v.AnsweredAt), stamp(v.EndedAt),
		strconv.FormatFloat(v.RingSeconds, 'f', -1, 64), strconv.FormatFloat(v.TalkSeconds, 'f', -1, 64)}
}

func firstOf(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

func stamp(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.Format(time.RFC3339)
}

// inert keeps a cell from being a formula where a spreadsheet opens it (reliability.md, phone numbers are personal data).
func inert(cell string) string {
	if cell != "" && strings.ContainsRune("=+-@\t\r", rune(cell[0])) {
		return "'" + cell
	}
	// Spreadsheets look past blanks and the full-width forms of these characters.
	if t := strings.TrimLeft(cell, " \u00a0\u3000"); t != "" && strings.ContainsAny(string([]rune(t)[0]), "=+-@＝＋－＠") {
		return "'" + cell
	}
	return cell
}

// rowWriter writes one format.
type rowWriter interface {
	row(callView) error
	close() error
}

func (s *Server) addExport() {
	add(s, operation{id: "export-calls", method: http.MethodGet, path: "/calls/export", summary: "All calls of a filter as CSV, XLSX or JSON, streamed", tag: "calls", role: Agent, scope: "calls:export"}, s.export)
	op := s.api.OpenAPI().Paths[apiBase+"/calls/export"].Get
	op.Responses["200"] = &huma.Response{Description: "The calls. An export that is cut off ends without its last chunk.", Content: map[string]*huma.MediaType{}}
	for _, t := range exportTypes {
		op.Responses["200"].Content[t] = &huma.MediaType{Schema: &huma.Schema{Type: "string"}}
	}
}

func (s *Server) export(ctx context.Context, in *exportCalls) (*huma.StreamResponse, error) {
	q, err := s.query(ctx, in.CallFilter)
	if err != nil {
		return nil, err
	}
	p := principalOf(ctx)
	release := s.exports.take(p.user.ID)
	if release == nil {
		return nil, fmt.Errorf("%w: exports at once; wait for the other one", ErrTooMany)
	}
	// In the log before the first byte leaves; no log, no export.
	if err := s.audit.Record(ctx, s.accounts.event(actor(ctx), "calls.exported", "calls", nil, map[string]any{"format": in.Format, "filter": filterWords(in.CallFilter)})); err != nil {
		release()
		return nil, err
	}
	return &huma.StreamResponse{Body: func(hc huma.Context) {
		defer release()
		hc.SetHeader("Content-Type", exportTypes[in.Format])
		hc.SetHeader("Content-Disposition", fmt.Sprintf(`attachment; filename="calls-%s.%s"`, s.now().UTC().Format("20060102-150405"), in.Format))
		w := responseWriter(hc)
		control := http.NewResponseController(w)
		_ = control.SetReadDeadline(time.Time{})
		if err := s.writeCalls(hc.Context(), w, control, q, in.Format); err != nil {
			s.log.Warn("an export was cut off", "format", in.Format, "err", err)
			panic(http.ErrAbortHandler) // the client sees that it is not complete
		}
	}}, nil
}

// filterWords are the parts of a filter for the audit log: not what was searched for, it may be a customer's number.
func filterWords(f CallFilter) map[string]string {
	words := map[string]string{}
	for k, v := range map[string]string{"group": f.Group, "line": f.Line, "agent": f.Agent, "team": f.Team, "reason": f.Reason, "from": stamp(f.From), "to": stamp(f.To)} {
		if v != "" {
			words[k] = v
		}
	}
	if f.Q != "" {
		words["q"] = "(set)"
	}
	return words
}

// writeCalls goes through all pages. Memory is that of one page.
func (s *Server) writeCalls(ctx context.Context, w io.Writer, control *http.ResponseController, q CallQuery, format string) error {
	names, err := s.names(ctx)
	if err != nil {
		return err
	}
	buffered := bufio.NewWriterSize(&stalling{w, control}, 64<<10)
	out, err := newRowWriter(format, buffered)
	if err != nil {
		return err
	}
	q.Limit = exportPage
	for {
		page, err := s.calls.SearchCalls(ctx, q)
		if err != nil {
			return err
		}
		for _, c := range page.Calls {
			if err := out.row(names.view(c, s.now())); err != nil {
				return err
			}
		}
		if q.After = page.Next; q.After == "" {
			break
		}
		if s.life.Err() != nil {
			return s.life.Err()
		}
	}
	if err := out.close(); err != nil {
		return err
	}
	return buffered.Flush()
}

// stalling gives the client time for each piece instead of for the whole.
type stalling struct {
	w       io.Writer
	control *http.ResponseController
}

// Write implements io.Writer.
func (s *stalling) Write(b []byte) (int, error) {
	if err := s.control.SetWriteDeadline(time.Now().Add(exportStall)); err != nil {
		return 0, err
	}
	return s.w.Write(b)
}

func newRowWriter(format string, w io.Writer) (rowWriter, error) {
	switch format {
	case "csv":
		c := &csvRows{csv.NewWriter(w)}
		return c, c.w.Write(exportHeader)
	case "json":
		_, err := io.WriteString(w, "[")
		return &jsonRows{w: w}, err
	}
	return newSheetRows(w)
}

type csvRows struct{ w *csv.Writer }

func (c *csvRows) row(v callView) error {
	cells := v.cells()
	for i := range cells {
		cells[i] = inert(cells[i])
	}
	return c.w.Write(cells)
}

func (c *csvRows) close() error {
	c.w.Flush()
	return c.w.Error()
}

type jsonRows struct {
	w    io.Writer
	some bool
}

func (j *jsonRows) row(v callView) error {
	b, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("encode call: %w", err)
	}
	sep := "\n"
	if j.some {
		sep = ",\n"
	}
	j.some = true
	_, err = j.w.Write(append([]byte(sep), b...))
	return err
}

func (j *jsonRows) close() error {
	_, err := io.WriteString(j.w, "\n]\n")
	return err
}
