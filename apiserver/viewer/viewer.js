// The methods of a type in the order in which people use them.
const methods = ["post", "get", "delete"];

SwaggerUIBundle({
  url: "/openapi.json",
  dom_id: "#viewer",
  deepLinking: true,
  displayRequestDuration: true,
  tryItOutEnabled: true,
  docExpansion: "none",
  operationsSorter: (a, b) => methods.indexOf(a.get("method")) - methods.indexOf(b.get("method")),
  defaultModelExpandDepth: 3,
  defaultModelsExpandDepth: -1,
  validatorUrl: null,
});
