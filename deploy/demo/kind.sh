# The second part of the demonstration: a kind of one's own with an operator of thirty lines. Sourced by `run`.

heading "Define a kind: a Greeting says whom to greet, in which language"
must_say created kubectl apply -f "$here/kind.yaml"
must_say "condition met" kubectl wait --for=condition=Established crd/greetings.demo.example.com --timeout=20s
must_say "enum: en, de, fr" kubectl explain greeting.spec

heading "Run its operator: $(wc -l <"$here/operator.py") lines of Python, nothing installed"
lines=$(wc -l <"$here/operator.py")
[ "$lines" -le 30 ] || fail "the operator has $lines lines; we promised 30"
setsid python3 "$here/operator.py" >"$directory/operator.log" 2>&1 </dev/null &
operator=$!
sed -n '/^def reconcile/,/^$/p' "$here/operator.py" | sed '/^$/d; s/^/   | /'

heading "Create a Greeting and watch it become Ready"
must_say created kubectl apply -f "$here/greeting.yaml"
must_say "condition met" kubectl wait --for=condition=Ready greeting/hello --timeout=20s
must_say "Hello, world!" kubectl get greetings
must_say "Observed Generation:     1" kubectl describe greeting hello
if [ -x "$programs/ccctl" ]; then
  printf '   The same with our own client:\n'
  must_say "Hello, world!" "$programs/ccctl" get greetings
fi

heading "Change what is wanted; the operator follows"
must_say patched kubectl patch greeting hello --type=merge --patch '{"spec":{"language":"fr"}}'
must_say "condition met" kubectl wait '--for=jsonpath={.status.says}=Bonjour, world!' greeting/hello --timeout=20s
must_say "Bonjour, world!" kubectl get greetings

heading "Ask for something impossible; it is refused before it is stored"
if show kubectl apply -f "$here/wrong.yaml"; then fail "a Greeting in Klingon was accepted"; fi
grep -qF 'spec.language: Unsupported value: "klingon"' <<<"$said" || fail "the refusal does not name the field"

heading "Delete it"
must_say deleted kubectl delete greeting hello --timeout=20s
must_say "No resources found" kubectl get greetings
kill -0 "$operator" 2>/dev/null || fail "the operator ended early"
