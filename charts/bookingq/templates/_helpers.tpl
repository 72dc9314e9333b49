{{/* Fills in the values that are missing: `helm upgrade --reuse-values` brings only those of the older chart. Every template begins with it. `cargo xtask manifests --check` compares the defaults with values.yaml. Only `resources` are not here: a user who wants none sets them to null, which looks like a missing value. */}}
{{- define "bookingq.fill" -}}
{{- range $key, $default := include "bookingq.defaults" . | fromYaml -}}
{{- if not (hasKey $.Values $key) -}}
{{- $_ := set $.Values $key $default -}}
{{- else if kindIs "map" $default -}}
{{- $values := get $.Values $key -}}
{{- range $inner, $innerDefault := $default -}}
{{- if not (hasKey $values $inner) -}}
{{- $_ := set $values $inner $innerDefault -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "bookingq.defaults" -}}
nameOverride: ""
fullnameOverride: ""
image: { repository: ghcr.io/bookingqueue/bookingq, tag: "", digest: "", pullPolicy: IfNotPresent }
imagePullSecrets: []
workerImage: ""
replicas: 2
watchNamespace: ""
log: { level: info, format: json }
env: []
crds: { install: true }
serviceAccount: { create: true, name: "", annotations: {} }
rbac: { create: true, aggregate: true }
podLabels: {}
podAnnotations: {}
nodeSelector: {}
tolerations: []
affinity: {}
topologySpreadConstraints: []
priorityClassName: ""
podDisruptionBudget: { enabled: true }
networkPolicy: { enabled: true, metricsFrom: [] }
serviceMonitor: { enabled: false, interval: 15s, labels: {} }
podMonitor: { enabled: false, interval: 15s, labels: {} }
prometheusRule:
  enabled: false
  runbooks: https://github.com/bookingqueue/bookingq/blob/main/docs/runbooks.md
  labels: {}
grafanaDashboard: { enabled: false, labels: { grafana_dashboard: "1" } }
{{- end -}}

{{/* "bookingq", or the release's name with it. */}}
{{- define "bookingq.fullname" -}}
{{- $name := default .Chart.Name .Values.nameOverride -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 48 | trimSuffix "-" -}}
{{- else if contains $name .Release.Name -}}
{{- .Release.Name | trunc 48 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 48 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{/* Name of the operator's Deployment, ServiceAccount, roles and Lease. */}}
{{- define "bookingq.operator" -}}
{{- include "bookingq.fullname" . }}-operator
{{- end -}}

{{- define "bookingq.serviceAccount" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "bookingq.operator" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- required "serviceAccount.name: name the ServiceAccount to use, because serviceAccount.create is false" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{/* Selects the operator's Pods. The NetworkPolicy of each managed Redis allows the component "operator" of this namespace. */}}
{{- define "bookingq.selectorLabels" -}}
app.kubernetes.io/name: bookingq
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: operator
{{- end -}}

{{- define "bookingq.labels" -}}
{{ include "bookingq.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/part-of: bookingq
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end -}}

{{- define "bookingq.image" -}}
{{- with .Values.image -}}
{{- if .digest -}}
{{ .repository }}@{{ .digest }}
{{- else -}}
{{ .repository }}:{{ default $.Chart.AppVersion .tag }}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* Security context of a container, for the Pod Security Standard "restricted", with a read-only root. */}}
{{- define "bookingq.containerSecurity" -}}
allowPrivilegeEscalation: false
capabilities:
  drop: [ALL]
readOnlyRootFilesystem: true
{{- end -}}

{{- define "bookingq.podSecurity" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
seccompProfile:
  type: RuntimeDefault
{{- end -}}

{{/* The page of runbooks, also where the value is empty. */}}
{{- define "bookingq.runbooks" -}}
{{ default (include "bookingq.defaults" . | fromYaml).prometheusRule.runbooks .Values.prometheusRule.runbooks }}
{{- end -}}
