// Asks a server by @grpc/grpc-js, which knows it only by a FileDescriptorSet.
//
// usage: node ask.js PROTOSET ADDRESS < CALLS
// CALLS is a JSON list of {service, method, request, deadlineSeconds}; all are sent at once.
// Prints a list, in the same order, of {code, details, response}; bytes are base64.
"use strict";

const fs = require("fs");
const grpc = require("@grpc/grpc-js");
const loader = require("@grpc/proto-loader");

const [protoset, address] = process.argv.slice(2);
const definitions = loader.loadFileDescriptorSetFromBuffer(fs.readFileSync(protoset), {
  keepCase: true,
  longs: String,
  enums: String,
  bytes: String,
});
const services = grpc.loadPackageDefinition(definitions).tensorflow.serving;
const clients = {};

function ask({ service, method, request, deadlineSeconds }) {
  clients[service] ??= new services[service](address, grpc.credentials.createInsecure());
  const deadline = new Date(Date.now() + deadlineSeconds * 1000);
  return new Promise((resolve) => {
    clients[service][method](request, { deadline }, (error, response) => {
      if (error) {
        resolve({ code: grpc.status[error.code], details: error.details, response: null });
      } else {
        resolve({ code: "OK", details: "", response });
      }
    });
  });
}

const calls = JSON.parse(fs.readFileSync(0, "utf-8"));
Promise.all(calls.map(ask)).then((answers) => {
  process.stdout.write(JSON.stringify(answers));
  Object.values(clients).forEach((client) => client.close());
});
