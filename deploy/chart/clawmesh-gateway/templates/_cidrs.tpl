{{- /* Ranges of addresses, compared by their bits: Helm has no function for that. */ -}}

{{- /* Whether the first of two ranges is a part of the second, or the same: "true", or nothing. */ -}}
{{- define "gateway.isWithin" -}}
{{- $inner := index . 0 -}}
{{- $outer := index . 1 -}}
{{- if eq (contains ":" $inner) (contains ":" $outer) -}}
{{- if hasPrefix (include "gateway.cidrBits" $outer) (include "gateway.cidrBits" $inner) }}true{{ end -}}
{{- end -}}
{{- end }}

{{- /* The bits that the prefix of a range keeps, as 0 and 1. */ -}}
{{- define "gateway.cidrBits" -}}
{{- $parts := splitList "/" . -}}
{{- $address := first $parts -}}
{{- $bits := "" -}}
{{- if contains ":" $address -}}
{{- $halves := splitList "::" $address -}}
{{- $groups := compact (splitList ":" (first $halves)) -}}
{{- if gt (len $halves) 1 -}}
{{- $last := compact (splitList ":" (last $halves)) -}}
{{- range until (int (sub 8 (add (len $groups) (len $last)))) -}}
{{- $groups = append $groups "0" -}}
{{- end -}}
{{- $groups = concat $groups $last -}}
{{- end -}}
{{- range $groups -}}
{{- range splitList "" (print (repeat (int (sub 4 (len .))) "0") (lower .)) -}}
{{- $bits = print $bits (index (splitList " " "0000 0001 0010 0011 0100 0101 0110 0111 1000 1001 1010 1011 1100 1101 1110 1111") (len (first (splitList . "0123456789abcdef")))) -}}
{{- end -}}
{{- end -}}
{{- else -}}
{{- range splitList "." $address -}}
{{- $bits = print $bits (printf "%08b" (int .)) -}}
{{- end -}}
{{- end -}}
{{- substr 0 (int (last $parts)) $bits -}}
{{- end }}
