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

{{/* The page of runbooks. The default is here as well, because `helm upgrade --reuse-values` brings only the values of the older chart. */}}
{{- define "bookingq.runbooks" -}}
{{ default "https://github.com/bookingqueue/bookingq/blob/main/docs/runbooks.md" .Values.prometheusRule.runbooks }}
{{- end -}}
