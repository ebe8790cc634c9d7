{{- define "recstack.selector" -}}
app.kubernetes.io/name: recstack-operator
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "recstack.labels" -}}
{{ include "recstack.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
{{- end }}

{{- define "recstack.name" -}}
{{ .Release.Name }}-operator
{{- end }}
