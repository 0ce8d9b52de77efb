package admin

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
)

type settingsDocument struct {
	ETag string          `header:"ETag"`
	Body json.RawMessage `doc:"The settings: lines, trunks and phones as docs/settings describe them. Durations are text (\"20ms\"). A secret shows as (set), or where it is."`
}

type putSettings struct {
	IfMatch string `header:"If-Match"`
	Body    json.RawMessage
}

type diffSettings struct{ Body json.RawMessage }

type changeList struct {
	Changes []Change `json:"changes" nullable:"false"`
}

func (s *Server) addSettings() {
	add(s, operation{id: "get-settings", method: http.MethodGet, path: "/settings", summary: "The settings in force, without secrets", tag: "settings", role: Admin, scope: "settings:read"},
		func(context.Context, *nothing) (*settingsDocument, error) {
			doc, version, err := s.settings.Settings()
			if err != nil {
				return nil, err
			}
			return &settingsDocument{etag(version), doc}, nil
		})
	add(s, operation{id: "diff-settings", method: http.MethodPost, path: "/settings/diff", summary: "What a document would change, and whether it is valid", tag: "settings", role: Admin, scope: "settings:read", status: http.StatusOK},
		func(ctx context.Context, in *diffSettings) (*body[changeList], error) {
			changes, err := s.settings.Diff(ctx, bytes.Clone(in.Body))
			return answerWith(changeList{append([]Change{}, changes...)}, err)
		})
	add(s, operation{id: "put-settings", method: http.MethodPut, path: "/settings", summary: "Put a document in force; \"(set)\" keeps a secret", tag: "settings", role: Admin, scope: "settings:write"}, s.putSettings)
}

func (s *Server) putSettings(ctx context.Context, in *putSettings) (*tagged[changeList], error) {
	version, err := ifMatch(in.IfMatch)
	if err != nil {
		return nil, err
	}
	changes, now, err := s.settings.Replace(ctx, bytes.Clone(in.Body), version)
	if err != nil {
		return nil, err
	}
	if len(changes) > 0 {
		before, after := map[string]string{}, map[string]string{}
		for _, c := range changes {
			if c.Old != "" {
				before[c.Path] = c.Old
			}
			if c.New != "" {
				after[c.Path] = c.New
			}
		}
		// The settings are in force: an audit log that cannot be written does not take them back, it is an error in the log. The
		// ledger itself has the fact that they changed.
		if err := s.audit.Record(ctx, s.accounts.event(actor(ctx), "settings.changed", "settings", before, after)); err != nil {
			s.log.Error("a change of the settings is missing in the audit log; check the data disk", "err", err)
		}
	}
	return &tagged[changeList]{etag(now), changeList{append([]Change{}, changes...)}}, nil
}
