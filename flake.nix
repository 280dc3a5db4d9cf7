{
  description = "cc-ci: recipes tested and apps kept running on Docker Swarm";

  # The release whose Rust is at least the one of Cargo.toml. `nix flake lock` pins it for whoever builds from here.
  inputs.nixpkgs.url = "github:NixOS/nixpkgs/nixos-26.05";

  outputs =
    { nixpkgs, ... }:
    let
      systems = [
        "x86_64-linux"
        "aarch64-linux"
      ];
      forEach = build: nixpkgs.lib.genAttrs systems (system: build nixpkgs.legacyPackages.${system});
      package = pkgs: pkgs.callPackage ./deploy/nixos/package.nix { };
    in
    {
      packages = forEach (pkgs: {
        default = package pkgs;
        cc-ci = package pkgs;
        image = pkgs.callPackage ./deploy/nixos/image.nix { cc-ci = package pkgs; };
      });

      overlays.default = final: _previous: { cc-ci = package final; };

      nixosModules.default = ./deploy/nixos/module.nix;

      checks = forEach (pkgs: {
        package = package pkgs;
        machine = pkgs.testers.runNixOSTest ./deploy/nixos/test.nix;
      });

      devShells = forEach (pkgs: {
        default = pkgs.callPackage ./deploy/nixos/shell.nix { };
      });

      formatter = forEach (pkgs: pkgs.nixfmt);
    };
}
