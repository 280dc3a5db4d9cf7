# ccd and ccctl, with completions and manual pages.
{
  lib,
  stdenv,
  rustPlatform,
  cmake,
  installShellFiles,
}:
let
  workspace = (builtins.fromTOML (builtins.readFile ../../Cargo.toml)).workspace.package;
  # What a build leaves behind is no source.
  isSource = path: _type: !(builtins.elem (baseNameOf path) [ ".git" "target" "result" ]);
in
rustPlatform.buildRustPackage {
  pname = "cc-ci";
  inherit (workspace) version;

  src = lib.cleanSourceWith {
    src = ../..;
    filter = isSource;
    name = "cc-ci-source";
  };
  cargoLock.lockFile = ../../Cargo.lock;
  cargoBuildFlags = [
    "--package=controller"
    "--package=ccctl"
  ];

  # The cryptography library is C; cmake is for it and not for us.
  nativeBuildInputs = [
    cmake
    installShellFiles
  ];
  dontUseCmakeConfigure = true;

  # The tests want a Docker engine, kubectl and root: `make test`.
  doCheck = false;

  postInstall = lib.optionalString (stdenv.buildPlatform.canExecute stdenv.hostPlatform) ''
    installShellCompletion --cmd ccctl \
      --bash <($out/bin/ccctl completion bash) \
      --zsh <($out/bin/ccctl completion zsh) \
      --fish <($out/bin/ccctl completion fish)
    mkdir manual
    $out/bin/ccctl man --folder manual
    installManPage manual/*
  '';

  meta = {
    description = "Recipes tested and apps kept running on Docker Swarm";
    homepage = workspace.repository;
    license = lib.licenses.agpl3Plus;
    platforms = lib.platforms.linux;
    mainProgram = "ccd";
  };
}
