package main

// refusal is an error that no other attempt would change: what goes into the
// error file.
type refusal struct {
	Code    string  `json:"errorCode"`
	Details details `json:"errorDetails"`
}

// details say where the error is in what the client has sent, in the form in which
// the service itself says it.
type details struct {
	In       string         `json:"in"`
	At       string         `json:"at"`
	Expected map[string]any `json:"expected,omitempty"`
	Message  string         `json:"message"`
}

func (r *refusal) Error() string { return r.Code + ": " + r.Details.Message }

const data = "input.source.data"

func invalid(at string, expected map[string]any, message string) *refusal {
	return &refusal{"InvalidInput", details{"body", at, expected, message}}
}

func damaged(message string) *refusal {
	return &refusal{"DocumentDamaged", details{In: "body", At: data, Message: message}}
}

var (
	passwordRequired = &refusal{"PasswordRequired", details{In: "body", At: data, Message: "the document opens with a password only: send it without"}}
	tooMuchText      = &refusal{"OutputTooLarge", details{"body", "input.pages", map[string]any{"maxBytes": maxText}, "the text of these pages is longer: ask for fewer"}}
)
