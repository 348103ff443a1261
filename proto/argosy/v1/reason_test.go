package argosyv1_test

import (
	"testing"

	argosyv1 "github.com/argosy-cluster/argosy/proto/argosy/v1"
)

func TestEveryReasonHasAText(t *testing.T) {
	for number, name := range argosyv1.ReasonCode_name {
		text := argosyv1.NewReason(argosyv1.ReasonCode(number), "error", "why", "state", "paused").Text()
		if number != 0 && text == "" || number == 0 && text != "" {
			t.Errorf("%s: text %q", name, text)
		}
	}
	if text := argosyv1.NewReason(9999).Text(); text != "" {
		t.Errorf("text of an unknown reason: %q", text)
	}
}

func TestTextOfAReasonHasItsArguments(t *testing.T) {
	retry := argosyv1.NewReason(argosyv1.ReasonCode_REASON_CODE_RETRY, "attempt", "3", "error", "no {space} left")
	state := (&argosyv1.ExecutionState{}).Explain(retry)
	if want := "Retry 3: no {space} left"; state.GetAdditionalInfo() != want || state.GetReason() != retry {
		t.Errorf("got %q, want %q and the reason itself", state.GetAdditionalInfo(), want)
	}
}
