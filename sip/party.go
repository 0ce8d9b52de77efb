package sip

// target is the party as a route names it, "trunk:pbx" or "phone:1001": a trunk and a phone may bear the same name, and
// only this tells whose rights a call has.
func (p party) target() string {
	if p.isTrunk {
		return "trunk:" + p.name
	}
	return "phone:" + p.name
}
