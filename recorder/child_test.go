package recorder

func child() {}
