# The suite with its environment. docker build -t contrapposto . ; with a GPU: --build-arg TORCH_INDEX_URL= (pip's default, the CUDA build)
# docker run -it -v $PWD/runs:/contrapposto/runs -v $PWD/stores:/contrapposto/stores contrapposto python train.py model=sage_first
FROM python:3.11-slim
ARG TORCH_INDEX_URL=https://download.pytorch.org/whl/cpu
RUN apt-get update && apt-get install --yes --no-install-recommends make git && rm -rf /var/lib/apt/lists/*
WORKDIR /contrapposto
COPY . .
RUN make setup VENV=/opt/venv TORCH_INDEX_URL=${TORCH_INDEX_URL}
ENV PATH=/opt/venv/bin:$PATH VENV=/opt/venv
CMD ["python", "-m", "contrapposto.doctor"]
