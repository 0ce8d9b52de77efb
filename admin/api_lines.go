package admin

import (
	"context"
	"net/http"
	"time"
)

type lineList struct {
	Lines []LineDetail `json:"lines" nullable:"false"`
}

type overrideLine struct {
	ID   string `path:"id" maxLength:"64"`
	Body struct {
		Open  *bool     `json:"open,omitempty" doc:"Absent: the line follows its hours again."`
		Until time.Time `json:"until,omitzero" doc:"Absent: until it is taken back."`
	}
}

func (s *Server) addLines() {
	order := operation{tag: "lines", role: Admin, scope: "settings:write", status: http.StatusOK}
	add(s, operation{id: "list-lines", method: http.MethodGet, path: "/lines", summary: "The lines: hours, restrictions, and their settings at Meta beside ours", tag: "lines", role: Supervisor, scope: "status:read"},
		func(ctx context.Context, _ *nothing) (*body[lineList], error) {
			list, err := s.lines.LineDetails(ctx)
			return answerWith(lineList{append([]LineDetail{}, list...)}, err)
		})
	add(s, order.at("apply-line", http.MethodPost, "/lines/{id}/apply", "Put our settings of a line in force at Meta"),
		func(ctx context.Context, in *byID) (*body[LineAtMeta], error) {
			if err := s.lineOrder(ctx, "line.applied", in.ID, nil); err != nil {
				return nil, err
			}
			return answerWith(s.lines.ApplyLine(ctx, in.ID))
		})
	add(s, order.at("adopt-line", http.MethodPost, "/lines/{id}/adopt", "Take a line's settings at Meta over into ours"),
		func(ctx context.Context, in *byID) (*body[changeList], error) {
			if err := s.lineOrder(ctx, "line.adopted", in.ID, nil); err != nil {
				return nil, err
			}
			changes, err := s.lines.AdoptLine(ctx, in.ID)
			return answerWith(changeList{append([]Change{}, changes...)}, err)
		})
	add(s, operation{id: "override-line", method: http.MethodPut, path: "/lines/{id}/override", summary: "Open or close a line by hand, or take that back", tag: "lines", role: Supervisor, scope: "live:write", status: http.StatusNoContent}, s.overrideLine)
	s.addTemplates()
}

// lineOrder notes what is about to be done with a line.
func (s *Server) lineOrder(ctx context.Context, action, line string, what any) error {
	return s.audit.Record(ctx, s.accounts.event(actor(ctx), action, "line:"+line, nil, what))
}

func (s *Server) overrideLine(ctx context.Context, in *overrideLine) (*nothing, error) {
	var o *LineOverride
	if in.Body.Open != nil {
		if !in.Body.Until.IsZero() && !in.Body.Until.After(s.now()) {
			return nil, problem(http.StatusUnprocessableEntity, "It would have ended already: until is in the past.")
		}
		o = &LineOverride{Open: *in.Body.Open, Until: in.Body.Until, By: s.byUser(ctx)}
	}
	if err := s.lineOrder(ctx, "line.override_set", in.ID, o); err != nil {
		return nil, err
	}
	return nil, s.lines.OverrideLine(ctx, in.ID, o)
}

type templateList struct {
	Templates []Template `json:"templates" nullable:"false"`
}

type newTemplate struct {
	ID   string `path:"id" maxLength:"64"`
	Body struct {
		Name     string   `json:"name" minLength:"1" maxLength:"512"`
		Language string   `json:"language" minLength:"2" maxLength:"16"`
		Category string   `json:"category" enum:"MARKETING,UTILITY"`
		Kind     string   `json:"kind" enum:"permission,button"`
		Body     string   `json:"body" minLength:"1" maxLength:"1024"`
		Examples []string `json:"examples,omitempty" maxItems:"32" doc:"One for each placeholder of the body."`
		Footer   string   `json:"footer,omitempty" maxLength:"60"`
		Button   string   `json:"button,omitempty" maxLength:"20" doc:"Words on a call button."`
		TTLHours float64  `json:"ttl_hours,omitempty" minimum:"0" maximum:"720" doc:"How long the button can be pressed; absent: seven days."`
	}
}

type templateByName struct {
	ID   string `path:"id" maxLength:"64"`
	Name string `path:"name" maxLength:"512"`
}

func (s *Server) addTemplates() {
	add(s, operation{id: "list-templates", method: http.MethodGet, path: "/lines/{id}/templates", summary: "The message templates of a line's account", tag: "lines", role: Agent, scope: "status:read"},
		func(ctx context.Context, in *byID) (*body[templateList], error) {
			list, err := s.lines.Templates(ctx, in.ID)
			return answerWith(templateList{append([]Template{}, list...)}, err)
		})
	write := operation{tag: "lines", role: Admin, scope: "settings:write"}
	add(s, write.at("create-template", http.MethodPost, "/lines/{id}/templates", "Hand a template to Meta for approval").answering(http.StatusCreated), s.createTemplate)
	add(s, write.at("delete-template", http.MethodDelete, "/lines/{id}/templates/{name}", "Delete a template in every language"),
		func(ctx context.Context, in *templateByName) (*nothing, error) {
			if err := s.lineOrder(ctx, "template.deleted", in.ID, map[string]string{"name": in.Name}); err != nil {
				return nil, err
			}
			return nil, s.lines.DeleteTemplate(ctx, in.ID, in.Name)
		})
}

func (s *Server) createTemplate(ctx context.Context, in *newTemplate) (*body[Template], error) {
	b := in.Body
	if err := s.lineOrder(ctx, "template.created", in.ID, map[string]string{"name": b.Name, "language": b.Language}); err != nil {
		return nil, err
	}
	t := Template{Name: b.Name, Language: b.Language, Category: b.Category, Kind: b.Kind, Body: b.Body, Footer: b.Footer, Button: b.Button, TTLHours: b.TTLHours}
	return answerWith(s.lines.CreateTemplate(ctx, in.ID, t, b.Examples))
}
