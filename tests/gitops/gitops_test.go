// What GitOps tools make of the conditions that the operator writes: kstatus by its own library,
// Argo CD by its own Lua interpreter and manifests/argocd/health.lua.
package gitops

import (
	"os"
	"testing"

	lua "github.com/yuin/gopher-lua"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/cli-utils/pkg/kstatus/status"
)

type condition struct{ kind, status, reason string }

var cases = []struct {
	name       string
	observed   int64
	conditions []condition
	kstatus    status.Status
	argo       string
}{
	{"not reported yet", 0, nil, status.InProgressStatus, "Progressing"},
	{"serving", 2, []condition{{"Ready", "True", "Serving"}, {"Degraded", "False", "Reconciled"}},
		status.CurrentStatus, "Healthy"},
	{"of the spec before", 1, []condition{{"Ready", "True", "Serving"}},
		status.InProgressStatus, "Progressing"},
	{"rolling out", 2,
		[]condition{{"Ready", "True", "Serving"}, {"Reconciling", "True", "RolloutInProgress"}},
		status.InProgressStatus, "Progressing"},
	{"without Redis", 2,
		[]condition{{"Ready", "False", "Unreachable"}, {"Reconciling", "True", "Unreachable"}},
		status.InProgressStatus, "Progressing"},
	{"with a wrong spec", 2,
		[]condition{{"Ready", "False", "InvalidSpec"}, {"Stalled", "True", "InvalidSpec"}},
		status.FailedStatus, "Degraded"},
	{"serving with a wrong image", 2,
		[]condition{{"Ready", "True", "Serving"}, {"Stalled", "True", "ImagePullBackOff"}},
		status.FailedStatus, "Degraded"},
	{"with an older definition", 2,
		[]condition{
			{"Ready", "True", "Serving"},
			{"Stalled", "True", "SchemaBehind"},
			{"SchemaBehind", "True", "FieldsMissing"},
		},
		status.FailedStatus, "Degraded"},
	{"with an older definition and a spec that was not seen yet", 1,
		[]condition{{"Ready", "True", "Serving"}, {"SchemaBehind", "True", "FieldsMissing"}},
		status.InProgressStatus, "Degraded"},
	{"serving, with a definition that lacks only fields of the status", 2,
		[]condition{{"Ready", "True", "Serving"}, {"SchemaBehind", "True", "FieldsMissing"}},
		status.CurrentStatus, "Degraded"},
	{"with a definition that was not read yet", 2,
		[]condition{
			{"Ready", "True", "Serving"},
			{"Reconciling", "True", "SchemaUnread"},
			{"SchemaBehind", "Unknown", "SchemaUnread"},
		},
		status.InProgressStatus, "Progressing"},
	{"scaled to zero", 2, []condition{{"Ready", "False", "ScaledToZero"}},
		status.InProgressStatus, "Suspended"},
	{"asleep", 2, []condition{{"Ready", "False", "Hibernated"}, {"Hibernated", "True", "Asleep"}},
		status.InProgressStatus, "Suspended"},
	{"paused with a newer spec", 1,
		[]condition{{"Ready", "True", "Serving"}, {"Paused", "True", "Annotated"}},
		status.InProgressStatus, "Suspended"},
}

func queue(observed int64, conditions []condition) map[string]any {
	all := []any{}
	for _, one := range conditions {
		all = append(all, map[string]any{
			"type": one.kind, "status": one.status, "reason": one.reason, "message": "why",
			"observedGeneration": observed,
		})
	}
	return map[string]any{
		"apiVersion": "bookingqueue.dev/v1alpha1", "kind": "BookingQueue",
		"metadata": map[string]any{"name": "concert", "namespace": "tickets", "generation": int64(2)},
		"status":   map[string]any{"observedGeneration": observed, "conditions": all},
	}
}

func value(state *lua.LState, from any) lua.LValue {
	switch from := from.(type) {
	case map[string]any:
		table := state.NewTable()
		for key, inner := range from {
			table.RawSetString(key, value(state, inner))
		}
		return table
	case []any:
		table := state.NewTable()
		for _, inner := range from {
			table.Append(value(state, inner))
		}
		return table
	case int64:
		return lua.LNumber(from)
	case string:
		return lua.LString(from)
	default:
		return lua.LNil
	}
}

func TestKstatusReadsTheConditions(t *testing.T) {
	for _, one := range cases {
		object := &unstructured.Unstructured{Object: queue(one.observed, one.conditions)}
		found, err := status.Compute(object)
		if err != nil {
			t.Fatal(err)
		}
		if found.Status != one.kstatus {
			t.Errorf("%s: %s (%s), not %s", one.name, found.Status, found.Message, one.kstatus)
		}
	}
}

func TestArgoCDShowsTheConditions(t *testing.T) {
	script, err := os.ReadFile("../../manifests/argocd/health.lua")
	if err != nil {
		t.Fatal(err)
	}
	for _, one := range cases {
		state := lua.NewState()
		state.SetGlobal("obj", value(state, queue(one.observed, one.conditions)))
		if err := state.DoString(string(script)); err != nil {
			t.Fatalf("%s: %v", one.name, err)
		}
		answer := state.Get(-1).(*lua.LTable)
		found, message := answer.RawGetString("status").String(), answer.RawGetString("message")
		if found != one.argo || message.Type() != lua.LTString {
			t.Errorf("%s: %s (%s), not %s", one.name, found, message, one.argo)
		}
		state.Close()
	}
}
