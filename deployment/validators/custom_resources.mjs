// Holds custom resources, a list in JSON on stdin, against the schemas of their definitions; a line for each problem.
// These schemas let unknown members pass: tests/unit/deployment asks for the members that matter.
import { readFileSync } from "node:fs";
import * as keda from "@kubernetes-models/keda/keda.sh/v1alpha1";
import * as prometheus from "@kubernetes-models/prometheus-operator/monitoring.coreos.com/v1";

const models = { "keda.sh/v1alpha1": keda, "monitoring.coreos.com/v1": prometheus };

for (const document of JSON.parse(readFileSync(0, "utf8"))) {
  const name = `${document.kind} ${document.metadata.name}`;
  const Model = models[document.apiVersion]?.[document.kind];
  if (Model === undefined) {
    console.log(`${name}: ${document.apiVersion} has no such kind`);
    continue;
  }
  try {
    new Model(document).validate();
  } catch (error) {
    console.log(`${name}: ${error.message}`);
  }
}
