/* Serves a SavedModel through TensorFlow's C API alone: no Python anywhere.

   serve DIR IN OUT KIND ROWS SIZE...

   IN and OUT name a tensor each, as OPERATION:INDEX; KIND is that of OUT, f (float) or i (int).
   Reads float32 images of the shape [SIZE...] from standard input, then some of the shape
   [ROWS, 8, 8, 1]. Each time it writes the numbers of OUT on one line, or "error: ..." where
   TensorFlow refuses the request. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <tensorflow/c/c_api.h>

static void free_data(void* data, size_t size, void* arg) {
  (void)size, (void)arg;
  free(data);
}

static TF_Output tensor(TF_Graph* graph, const char* name) {
  char operation[512];
  snprintf(operation, sizeof operation, "%s", name);
  char* colon = strrchr(operation, ':');
  *colon = 0;
  TF_Output out = {TF_GraphOperationByName(graph, operation), atoi(colon + 1)};
  if (!out.oper) {
    fprintf(stderr, "no operation %s\n", operation);
    exit(3);
  }
  return out;
}

static void answer(TF_Session* session, TF_Output in, TF_Output out, char kind, int rank,
                   const int64_t* shape) {
  size_t count = 1;
  for (int i = 0; i < rank; i++) count *= (size_t)shape[i];
  float* pixels = malloc(count * sizeof(float));
  if (fread(pixels, sizeof(float), count, stdin) != count) exit(4);
  TF_Tensor* image = TF_NewTensor(TF_FLOAT, shape, rank, pixels, count * sizeof(float),
                                  free_data, NULL);
  TF_Tensor* result = NULL;
  TF_Status* status = TF_NewStatus();
  TF_SessionRun(session, NULL, &in, &image, 1, &out, &result, 1, NULL, 0, NULL, status);
  if (TF_GetCode(status) == TF_OK) {
    size_t n = TF_TensorElementCount(result);
    for (size_t i = 0; i < n; i++) {
      if (kind == 'i') printf("%d ", ((const int*)TF_TensorData(result))[i]);
      else printf("%.9g ", ((const float*)TF_TensorData(result))[i]);
    }
    printf("\n");
    TF_DeleteTensor(result);
  } else {
    char message[256];
    snprintf(message, sizeof message, "%s", TF_Message(status));
    for (char* c = message; *c; c++)
      if (*c == '\n') *c = ' ';
    printf("error: %s\n", message);
  }
  TF_DeleteTensor(image);
  TF_DeleteStatus(status);
}

int main(int argc, char** argv) {
  if (argc < 7) return 2;
  TF_Status* status = TF_NewStatus();
  TF_Graph* graph = TF_NewGraph();
  TF_SessionOptions* options = TF_NewSessionOptions();
  const char* tags[] = {"serve"};
  TF_Session* session =
      TF_LoadSessionFromSavedModel(options, NULL, argv[1], tags, 1, graph, NULL, status);
  if (TF_GetCode(status) != TF_OK) {
    fprintf(stderr, "%s\n", TF_Message(status));
    return 1;
  }
  TF_Output in = tensor(graph, argv[2]), out = tensor(graph, argv[3]);
  int rank = argc - 6;
  int64_t shape[8], good[4] = {atoll(argv[5]), 8, 8, 1};
  for (int i = 0; i < rank; i++) shape[i] = atoll(argv[6 + i]);
  answer(session, in, out, argv[4][0], rank, shape);
  answer(session, in, out, argv[4][0], 4, good);
  TF_CloseSession(session, status);
  TF_DeleteSession(session, status);
  TF_DeleteGraph(graph);
  TF_DeleteSessionOptions(options);
  TF_DeleteStatus(status);
  return 0;
}
